// The page as a whole: views, keys, theme; and the start.

let results = { rows: [], counts: null, words: [] };

const VIEWS = ["rows", "map", "tree"];
const FILTERS = ["q", "tag", "config", "reason", "round", "under", "sort"];
let searched = null;

function render() {
  const wanted = JSON.stringify(FILTERS.map((name) => state[name]));
  if (wanted !== searched) results = search();
  searched = wanted;
  for (const view of VIEWS) {
    const on = state.view === view;
    $(`view-${view}`).hidden = !on;
    $(`tab-${view}`).setAttribute("aria-selected", String(on));
    $(`tab-${view}`).tabIndex = on ? 0 : -1;
  }
  if ($("search").value !== state.q && document.activeElement !== $("search")) $("search").value = state.q;
  drawFilters(results);
  drawChips();
  if (state.view === "rows") { drawSorting(); drawList(results); }
  if (state.view === "map") drawMap();
  if (state.view === "tree") drawTree();
  drawRow();
  const text = results.rows.length === data.rows.length ? plural(data.rows.length, "row") : `${count(results.rows.length)} of ${plural(data.rows.length, "row")}`;
  if ($("count").textContent !== text) $("count").textContent = text; // a screen reader says what changes
}

function readRows() {
  return el("button", { type: "button", class: "link", "data-key": "to-rows", onclick: () => { show({ view: "rows" }); $("tab-rows").focus(); } }, `Read the ${plural(results.rows.length, "row")}`);
}

let waiting = 0;
function searchSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => show({ q: $("search").value.trim() }, false), 120);
}

function pageKey(event) {
  const typing = event.target.closest("input[type=search], textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("search").focus();
    $("search").select();
  } else if (event.key === "Escape") {
    if (state.row !== null) closeRow();
    else if (typing?.value && typing.id === "search") { typing.value = ""; show({ q: "" }, false); }
    else return;
    event.preventDefault();
  }
}

function tabKey(event) {
  const tabs = VIEWS.filter((view) => !$(`tab-${view}`).hidden);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(state.view) + step + tabs.length) % tabs.length];
  show({ view: next });
  $(`tab-${next}`).focus();
  event.preventDefault();
}

// Light or dark: as the system says, until the reader says otherwise.
const system = matchMedia("(prefers-color-scheme: dark)");

function storedTheme() {
  try { return localStorage.getItem("tagsmith-theme"); } catch { return null; } // a page from a file may have no storage
}

function applyTheme(theme = storedTheme() ?? (system.matches ? "dark" : "light")) {
  document.documentElement.dataset.theme = theme;
  $("theme").setAttribute("aria-pressed", String(theme === "dark"));
}

function switchTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("tagsmith-theme", theme); } catch { /* then it lasts as long as the page */ }
  applyTheme(theme);
}

function inPage(id) {
  return (event) => { event.preventDefault(); $(id).focus(); $(id).scrollIntoView({ block: "nearest" }); }; // the hash is taken
}

async function start() {
  applyTheme();
  system.addEventListener("change", () => applyTheme());
  $("theme").addEventListener("click", switchTheme);
  addEventListener("beforeprint", () => applyTheme("light")); // ink on paper
  addEventListener("afterprint", () => applyTheme());
  $("skip").addEventListener("click", inPage("results"));
  $("to-about")?.addEventListener("click", inPage("about"));
  const narrow = matchMedia("(max-width: 759px)");
  const unfoldFilters = () => { $("filters").open = !narrow.matches; };
  narrow.addEventListener("change", unfoldFilters);
  unfoldFilters();
  await unpack();
  indexTree();
  $("tab-map").hidden = !data.head.map;
  $("tab-tree").hidden = !data.head.tree;
  for (const view of VIEWS) $(`tab-${view}`).addEventListener("click", () => show({ view }));
  document.querySelector("[role=tablist]").addEventListener("keydown", tabKey);
  document.addEventListener("keydown", pageKey);
  $("search").addEventListener("input", searchSoon);
  $("search-form").addEventListener("submit", (event) => { event.preventDefault(); show({ q: $("search").value.trim() }, false); $("list")?.focus(); });
  addEventListener("popstate", () => { state = stateFromHash(); $("search").value = state.q; render(); });
  addEventListener("hashchange", () => { state = stateFromHash(); $("search").value = state.q; render(); });
  state = stateFromHash();
  $("search").value = state.q;
  render();
}

start().catch((error) => {
  $("trouble").textContent = `The rows could not be shown. ${error.message}`;
  $("trouble").hidden = false;
  $("count").textContent = "";
});
