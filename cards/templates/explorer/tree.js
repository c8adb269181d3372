// The tag tree: an ARIA tree. A node stands for its own tag and all below it.

const treeNodes = new Map(); // path ("", "0", "0.3", …) → node
const unfolded = new Set();
let treeFocus = "";
let lastUnder = ""; // the chosen node was made visible once; after that it may be folded away

function indexTree() {
  if (!data.head.tree) return;
  const visit = ([name, rows, children], path, level) => {
    const node = { name, rows, path, level, children: [] };
    treeNodes.set(path, node);
    node.children = children.map((child, place) => visit(child, path === "root" ? String(place) : `${path}.${place}`, level + 1));
    return node;
  };
  visit(data.head.tree, "root", 1);
  unfolded.add("root");
  treeFocus = "root";
}

const treeNode = (path) => treeNodes.get(path);

// The numbers of the tags named in a node and below.
function tagsUnder(path) {
  const node = treeNodes.get(path);
  if (!node) return new Set();
  const own = codesOfStrings.has(node.name) ? [codesOfStrings.get(node.name)] : [];
  node.tags ??= new Set([...own, ...node.children.flatMap((child) => [...tagsUnder(child.path)])]);
  return node.tags;
}

function drawTree() {
  if (!data.head.tree) return;
  if (state.under !== lastUnder) for (let path = state.under; path.includes("."); unfolded.add(path)) path = path.slice(0, path.lastIndexOf("."));
  lastUnder = state.under;
  const tree = el("ul", { role: "tree", "aria-label": "Tag tree", class: "tree", onkeydown: treeKey }, drawNode(treeNodes.get("root")));
  tree.addEventListener("click", treeClick);
  redraw($("view-tree"),
    el("p", { class: "muted" }, "Choose a node to see the rows with its tag or one below it. ", state.under !== "" && readRows()), tree);
}

function rowsUnder(node) {
  const tags = tagsUnder(node.path);
  node.here ??= data.rows.filter((row) => row.tags.some((tag) => tags.has(tag))).length;
  return node.rows ?? node.here;
}

function drawNode(node) {
  const open = unfolded.has(node.path);
  const parent = node.path === "root" ? null : treeNodes.get(node.path.includes(".") ? node.path.slice(0, node.path.lastIndexOf(".")) : "root");
  const rows = rowsUnder(node);
  const most = parent ? Math.max(1, ...parent.children.map(rowsUnder)) : Math.max(1, rows);
  return el("li", {
    role: "treeitem", "aria-level": node.level, "aria-expanded": node.children.length ? String(open) : null,
    "aria-selected": String(state.under === node.path), tabindex: node.path === treeFocus ? "0" : "-1",
    "data-key": `node:${node.path}`, "data-path": node.path, "aria-labelledby": `node-${node.path}`,
  },
  el("span", { class: "node", style: { "--share": `${Math.round((100 * rows) / most)}%` } },
    el("span", { class: "fold", "aria-hidden": "true" }, node.children.length ? (open ? "▾" : "▸") : ""),
    el("span", { id: `node-${node.path}`, class: "node-name" }, el("span", { dir: "auto" }, node.name), el("span", { class: "number" }, ` ${plural(rows, "row")}`))),
  open && node.children.length > 0 && el("ul", { role: "group" }, node.children.map(drawNode)));
}

function treeClick(event) {
  const path = event.target.closest("[data-path]")?.dataset.path;
  if (path === undefined) return;
  treeFocus = path;
  if (event.target.closest(".fold")) fold(path, !unfolded.has(path));
  else chooseNode(path);
  focusNode(path);
}

function chooseNode(path) {
  unfolded.add(path);
  show({ under: state.under === path ? "" : path });
}

function fold(path, open) {
  if (open) unfolded.add(path);
  else unfolded.delete(path);
  drawTree();
}

function focusNode(path) {
  treeFocus = path;
  const items = [...document.querySelectorAll("[role=treeitem]")];
  for (const item of items) item.setAttribute("tabindex", item.dataset.path === path ? "0" : "-1");
  items.find((item) => item.dataset.path === path)?.focus();
}

// Keys of the ARIA tree pattern.
function treeKey(event) {
  const item = event.target.closest("[data-path]");
  if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
  const path = item.dataset.path;
  const node = treeNodes.get(path);
  const items = [...document.querySelectorAll("[role=treeitem]")];
  const place = items.indexOf(item);
  const go = (other) => other && focusNode(other.dataset.path);
  if (event.key === "ArrowDown") go(items[place + 1]);
  else if (event.key === "ArrowUp") go(items[place - 1]);
  else if (event.key === "Home") go(items[0]);
  else if (event.key === "End") go(items.at(-1));
  else if (event.key === "ArrowRight" && node.children.length) {
    if (unfolded.has(path)) go(items[place + 1]);
    else { fold(path, true); focusNode(path); }
  } else if (event.key === "ArrowLeft") {
    if (node.children.length && unfolded.has(path)) { fold(path, false); focusNode(path); }
    else go(item.parentElement.closest("[data-path]"));
  } else if (event.key === "Enter" || event.key === " ") { chooseNode(path); focusNode(path); }
  else if (event.key.length === 1 && event.key !== "/") {
    const starts = (one) => treeNodes.get(one.dataset.path).name.toLowerCase().startsWith(event.key.toLowerCase());
    go([...items.slice(place + 1), ...items.slice(0, place)].find(starts));
  } else return;
  event.preventDefault();
}
