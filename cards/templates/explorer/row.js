// The open row: its texts, its tags, where it comes from, and every other column.

// Columns that have a place of their own above the table.
const SHOWN = new Set(["instruction", "response", "messages", "tags", "raw_tags", "injected_tags", "tag_explanations"]);

let openedFrom = null; // what had the focus before the row opened
let marksShown = true;

function openRow(number, focus = false) {
  if (state.row === null) openedFrom = document.activeElement;
  show({ row: number });
  if (focus || matchMedia("(max-width: 1099px)").matches) $("row-title")?.focus();
}

function closeRow() {
  show({ row: null, lineage: false });
  if ($("list") && (openedFrom === null || !openedFrom.isConnected || openedFrom.id === "list" || openedFrom === document.body)) $("list").focus();
  else openedFrom?.focus();
  openedFrom = null;
}

function drawRow() {
  const row = data.byNumber.get(state.row);
  $("detail").hidden = !row;
  $("layout").classList.toggle("with-detail", Boolean(row));
  document.documentElement.classList.toggle("row-open", Boolean(row));
  if (!row) return redraw($("detail"));
  const place = results.rows.indexOf(row);
  const chain = ancestry(row);
  const below = descendants(row);
  const related = chain.length > 1 || below.length > 0 || row.get("parent_id") !== null;
  const step = (by, name, sign) =>
    el("button", { type: "button", class: "quiet", "data-key": name, "aria-label": name, disabled: place < 0 || !results.rows[place + by],
      onclick: () => { show({ row: results.rows[place + by].number }, false); goToActive(); } }, sign);
  return redraw($("detail"),
    el("div", { class: "detail-head" },
      el("h2", { id: "row-title", tabindex: "-1" }, state.lineage ? "Lineage" : "Row", row.id !== null && el("code", {}, ` ${row.id}`)),
      el("div", { class: "detail-buttons" },
        step(-1, "Previous row", "↑"), step(1, "Next row", "↓"),
        el("button", { type: "button", class: "quiet", "data-key": "close", "aria-label": "Close the row", onclick: closeRow }, "✕"))),
    badges(row),
    related && lineageStrip(row, chain, below),
    state.lineage ? wholeLineage(chain, below) : whole(row));
}

// Keep the list on the row that is open.
function goToActive() {
  const place = results.rows.findIndex((row) => row.number === state.row);
  if (place < 0) return;
  const page = Math.floor(place / PER_PAGE);
  if (page !== state.page) { active = state.row; show({ page }, false); }
  else setActive(state.row);
}

function badges(row) {
  const places = row.configs.map((config, place) => `${data.head.configs[config][0]} ${count(row.places[2 * place + 1])}`);
  const reason = row.get("reason");
  return el("p", { class: "badges" },
    places.map((text) => el("span", { class: "badge", title: "config and row number in it, from 0" }, text)),
    row.round !== null && el("span", { class: "badge" }, `round ${row.round}`),
    row.get("status") !== null && el("span", { class: `badge ${row.get("status") === "ok" ? "" : "bad"}` }, asText(row.get("status"))),
    reason && el("span", { class: "badge bad", dir: "auto" }, asText(reason)));
}

function whole(row) {
  const parent = row.parent;
  const marks = parent && marksShown ? parent : null;
  const messages = row.messages;
  return [
    parent && el("label", { class: "choice marks" },
      el("input", { type: "checkbox", "data-key": "marks", checked: marksShown, onchange: () => { marksShown = !marksShown; drawRow(); } }),
      el("span", {}, "Mark what changed from the parent")),
    messages.length
      ? section("Conversation", el("ol", { class: "turns" }, messages.map((turn) => el("li", { class: turn.role === "assistant" ? "turn assistant" : "turn" },
          el("h4", { dir: "auto" }, turn.role || "turn"), el("div", { class: "prose", dir: "auto" }, marked(turn.content, results.words))))))
      : [textSection("Instruction", row.instruction, marks?.instruction), row.get("response") !== null && textSection("Response", row.response, marks?.response)],
    tagSection(row, parent),
    rawTagSection(row),
    columnTable(row),
  ];
}

function section(title, ...children) {
  return el("section", { class: "part" }, el("h3", {}, title), children);
}

function textSection(title, text, before) {
  return section(title, el("div", { class: "prose", dir: "auto" }, before === undefined ? marked(text, results.words) : changes(before, text)));
}

// The text with what was added and removed; a text that kept next to nothing is shown as it is.
function changes(before, after) {
  const parts = diffWords(before, after);
  const kept = parts.filter(([kind]) => kind === "=").reduce((sum, [, text]) => sum + text.trim().length, 0);
  if (kept < 0.2 * Math.min(before.length, after.length)) return [el("span", { class: "note" }, "rewritten: "), after];
  return parts.map(([kind, text]) => (kind === "=" ? text : el(kind === "+" ? "ins" : "del", {}, text)));
}

function tagSection(row, parent) {
  if (!data.head.tagColumn) return null;
  const injected = new Set(row.get("injected_tags") === null ? [] : row.codes("injected_tags"));
  const earlier = new Set(parent ? parent.tags : []);
  const extra = [...injected].filter((tag) => !row.tags.includes(tag));
  const gone = parent ? parent.tags.filter((tag) => !row.tags.includes(tag) && !injected.has(tag)) : [];
  const button = (tag, kind) => {
    const name = data.strings[tag];
    const note = { new: "added", injected: "injected", gone: "no longer a tag" }[kind];
    return el("button", { type: "button", class: `tag ${kind}`, "data-key": `row-tag:${name}`, "aria-pressed": String(state.tag.includes(name)), onclick: () => toggle("tag", name) },
      kind === "gone" ? el("del", { dir: "auto" }, name) : el("span", { dir: "auto" }, name), note && el("small", {}, ` ${note}`));
  };
  const kind = (tag) => (injected.has(tag) ? "injected" : parent && !earlier.has(tag) ? "new" : "");
  return section(data.head.tagColumn === "raw_tags" ? "Tags, as the tagger wrote them" : "Tags",
    el("p", { class: "tags wrap" },
      row.tags.map((tag) => button(tag, kind(tag))), extra.map((tag) => button(tag, "injected")), gone.map((tag) => button(tag, "gone")),
      !row.tags.length && !extra.length && el("span", { class: "muted" }, "none")));
}

function rawTagSection(row) {
  const raw = row.get("raw_tags");
  const reasons = row.get("tag_explanations");
  if (!Array.isArray(raw) || !raw.length) return null;
  const explained = Array.isArray(reasons) && reasons.length === raw.length;
  if (data.head.tagColumn === "raw_tags" && !explained) return null;
  return el("details", { class: "part" }, el("summary", {}, el("h3", {}, `Raw tags (${raw.length})`)),
    el("dl", { class: "raw" }, raw.map((tag, place) => el("div", {}, el("dt", { dir: "auto" }, asText(tag)), explained && el("dd", { dir: "auto" }, asText(reasons[place]))))));
}

function columnTable(row) {
  const values = [...data.columns.keys()].filter((name) => !SHOWN.has(name)).map((name) => [name, row.get(name)])
    .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && !value.length));
  if (!values.length) return null;
  return section("Other columns", el("table", { class: "columns" }, el("tbody", {}, values.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { dir: "auto" }, cell(row, name, value)))))));
}

function cell(row, name, value) {
  if (data.columns.get(name).kind === "same") return el("span", { class: "note" }, `same as ${data.columns.get(name).of}`);
  if (name === "parent_id" && row.parent) {
    return el("button", { type: "button", class: "link", "data-key": "parent", onclick: () => show({ row: row.parent.number }) }, asText(value));
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  const flat = (list) => Array.isArray(list) && list.every((item) => typeof item === "string");
  if (flat(value)) return value.join(", ");
  if (Array.isArray(value) && value.every(flat)) return value.map((list) => list.join(", ")).join("\n");
  return asText(value);
}

function stepName(row) {
  if (row.round !== null) return row.round === 0 ? "source" : `round ${row.round}`;
  return row.parent ? "child" : "source";
}

function lineageStrip(row, chain, below) {
  const parentId = chain[0].get("parent_id");
  const link = (one, depth) => {
    const added = one.parent ? one.tags.filter((tag) => !one.parent.tags.includes(tag)) : [];
    return el("li", { class: depth > 1 ? "deep" : null },
      el("button", { type: "button", class: "step", "data-key": `step:${one.number}`, "aria-current": one === row ? "step" : null, onclick: () => { show({ row: one.number }); goToActive(); } },
        el("strong", {}, stepName(one)), el("span", {}, plural(one.tags.length, "tag")), added.length > 0 && el("span", { class: "plus" }, `+${added.length}`)));
  };
  return el("nav", { class: "lineage", "aria-label": "Lineage, from parent to child" },
    el("ol", {},
      parentId !== null && !chain[0].parent && el("li", { class: "muted" }, `parent ${parentId} is not on this page`),
      chain.map((one) => link(one, 0)), below.map(([one, depth]) => link(one, depth))),
    chain.length + below.length > 1 && el("button", { type: "button", class: "quiet", "data-key": "lineage", "aria-pressed": String(state.lineage), onclick: () => show({ lineage: !state.lineage }) },
      state.lineage ? "Back to the row" : "Read it all"));
}

// Each version in turn, marked against the one that it came from.
function wholeLineage(chain, below) {
  const entry = (row) => {
    const parent = row.parent && (chain.includes(row.parent) || below.some(([one]) => one === row.parent)) ? row.parent : null;
    const before = new Set(parent ? parent.tags : row.tags);
    return el("li", { class: row.number === state.row ? "version current" : "version" },
      el("h3", {}, stepName(row), row.id !== null && el("code", {}, ` ${row.id}`)),
      el("p", { class: "tags wrap" }, row.tags.map((tag) => el("span", { class: before.has(tag) ? "tag" : "tag new", dir: "auto" }, data.strings[tag], !before.has(tag) && el("small", {}, " added")))),
      el("div", { class: "prose", dir: "auto" }, parent ? changes(parent.instruction, row.instruction) : row.instruction));
  };
  return el("ol", { class: "versions" }, chain.map(entry), below.map(([row]) => entry(row)));
}
