// The list of rows, a page at a time. One stop for the Tab key; the arrow keys move within it, and over its ends.

const PER_PAGE = 50;
const SNIPPET = 220; // characters of an instruction in the list
let active = null; // the number of the row that the arrow keys stand on

function drawList(found) {
  const pages = Math.max(1, Math.ceil(found.rows.length / PER_PAGE));
  state.page = Math.min(state.page, pages - 1);
  const rows = found.rows.slice(state.page * PER_PAGE, (state.page + 1) * PER_PAGE);
  if (!rows.some((row) => row.number === active)) active = rows.find((row) => row.number === state.row)?.number ?? rows[0]?.number ?? null;
  const list = el("ul", {
    id: "list", class: "list", role: "listbox", tabindex: "0", "aria-label": "Rows",
    "aria-activedescendant": active === null ? null : `row-${active}`, onkeydown: listKey,
  }, rows.map((row) => listed(row, found.words)));
  list.addEventListener("click", listClick);
  redraw($("results"),
    rows.length ? list : el("p", { class: "nothing" }, found.rows.length === 0 && data.rows.length ? "No row passes these filters." : "There are no rows."),
    pages > 1 && el("nav", { class: "pager", "aria-label": "Pages" },
      el("button", { type: "button", "data-key": "previous", disabled: state.page === 0, onclick: () => turnPage(-1) }, "Previous"),
      el("span", {}, `Page ${count(state.page + 1)} of ${count(pages)}`),
      el("button", { type: "button", "data-key": "next", disabled: state.page === pages - 1, onclick: () => turnPage(1) }, "Next")));
}

function listed(row, words) {
  const tags = row.tags.slice(0, 7).map((tag) => el("span", { class: "tag", "data-tag": data.strings[tag], dir: "auto" }, data.strings[tag]));
  const more = row.tags.length - tags.length;
  const configs = row.configs.map((config) => data.head.configs[config][0]);
  return el("li", { id: `row-${row.number}`, role: "option", class: row.number === active ? "active" : null, "aria-selected": String(row.number === state.row) },
    el("p", { class: "text", dir: "auto" }, marked(snippet(row.instruction, words), words)),
    el("p", { class: "tags" }, tags, more > 0 && el("span", { class: "muted" }, `+${more}`)),
    el("p", { class: "facts" },
      configs.join(" · "),
      row.round !== null && ` · round ${row.round}`,
      data.head.tagColumn && ` · ${plural(row.tags.length, "tag")}`,
      ` · ${plural(row.length, "character")}`,
      row.reason && el("span", { class: "reason", dir: "auto" }, ` · ${row.reason}`)));
}

// The beginning, or where the first word that was searched for stands.
function snippet(text, words) {
  const place = words.length ? text.toLowerCase().indexOf(words[0]) : -1;
  const start = place > SNIPPET - 40 ? place - 60 : 0;
  const cut = text.slice(start, start + SNIPPET).replace(/\s+/g, " ");
  const whole = `${start ? "…" : ""}${cut}${text.length > start + SNIPPET ? "…" : ""}`;
  return whole.toWellFormed ? whole.toWellFormed() : whole; // the cut may have split a character in two
}

function turnPage(by) {
  const rows = results.rows.slice((state.page + by) * PER_PAGE, (state.page + by + 1) * PER_PAGE);
  active = (by > 0 ? rows[0] : rows.at(-1))?.number ?? null;
  show({ page: state.page + by });
  $("list")?.scrollIntoView({ block: "nearest" });
  if (document.activeElement === document.body) $("list")?.focus(); // the button was the last of its kind
}

function listClick(event) {
  const tag = event.target.closest("[data-tag]");
  if (tag) return toggle("tag", tag.dataset.tag);
  const item = event.target.closest("[role=option]");
  if (!item || String(getSelection()).length) return undefined; // the reader marks text
  active = Number(item.id.slice(4));
  return openRow(active);
}

function listKey(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  if ((event.key === "Enter" || event.key === " ") && active !== null) openRow(active, true);
  else if (event.key in steps && !event.ctrlKey && !event.metaKey && !event.altKey) moveActive(steps[event.key]);
  else return;
  event.preventDefault();
}

function moveActive(by) {
  const first = state.page * PER_PAGE;
  const last = Math.min(first + PER_PAGE, results.rows.length) - 1;
  const place = results.rows.findIndex((row) => row.number === active);
  const wanted = place + by;
  if (wanted < first && by === -1 && state.page > 0) return turnPage(-1);
  if (wanted > last && by === 1 && last + 1 < results.rows.length) return turnPage(1);
  setActive(results.rows[Math.max(first, Math.min(last, wanted))].number);
  if (state.row !== null) show({ row: active }, false); // with a row open, the next one takes its place
  return undefined;
}

function setActive(number) {
  $(`row-${active}`)?.classList.remove("active");
  active = number;
  $(`row-${active}`)?.classList.add("active");
  $(`row-${active}`)?.scrollIntoView({ block: "nearest" });
  $("list")?.setAttribute("aria-activedescendant", `row-${active}`);
}

function drawSorting() {
  const select = el("select", { id: "sort", "data-key": "sort", onchange: () => show({ sort: select.value }) },
    orderNames().map((name) => el("option", { value: name, selected: name === state.sort }, name || "order of the dataset")));
  redraw($("sorting"), el("label", { for: "sort" }, "Sort by"), select);
}
