// The side: configs, reasons, rounds and tags to choose from, each with the rows that it would leave.

let tagsListed = 30;
let tagQuery = "";

function drawFilters(found) {
  const groups = [
    choices("Config", "config", data.head.configs.map(([name, rows], place) => [name, found.counts.config.get(place) ?? 0, rows])),
    choices("Reason", "reason", data.head.reasons.map(([name, rows]) => [name, found.counts.reason.get(name) ?? 0, rows])),
    choices("Round", "round", data.head.rounds.map(([round, rows]) => [String(round), found.counts.round.get(round) ?? 0, rows])),
    data.head.tagColumn ? tagChoices(found) : null,
  ];
  redraw($("filter-groups"), groups);
}

function choices(title, name, entries) {
  if (entries.length < (name === "reason" ? 1 : 2)) return null;
  const boxes = entries.map(([value, here, all]) =>
    el("label", { class: "choice", title: `${plural(all, "row")} in all` },
      el("input", { type: "checkbox", checked: state[name].includes(value), "data-key": `${name}:${value}`, onchange: () => toggle(name, value) }),
      el("span", { dir: "auto" }, value),
      el("span", { class: "number" }, count(here))));
  return el("fieldset", {}, el("legend", {}, title), boxes);
}

function tagChoices(found) {
  const words = tagQuery.toLowerCase();
  const chosen = state.tag.map((name) => [codesOfStrings.get(name) ?? -1, name]);
  const listed = [...found.counts.tag]
    .filter(([tag]) => !state.tag.includes(data.strings[tag]) && data.strings[tag].toLowerCase().includes(words))
    .sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const most = Math.max(1, listed[0]?.[1] ?? 0);
  const shown = listed.slice(0, tagsListed);
  const input = el("input", { type: "search", id: "tag-search", "aria-label": "Find a tag", placeholder: "find a tag", autocomplete: "off", spellcheck: "false" });
  input.value = tagQuery;
  input.addEventListener("input", () => {
    tagQuery = input.value;
    const place = input.selectionStart;
    drawFilters(results);
    $("tag-search").setSelectionRange(place, place);
  });
  return el("section", { class: "tags-group", "aria-labelledby": "tags-title" },
    el("h2", { id: "tags-title" }, "Tags ", el("small", {}, `${count(data.head.distinctTags)} in all`)),
    input,
    el("ul", { class: "tag-bars" },
      chosen.map(([tag, name]) => el("li", {}, tagBar(tag, name, found.rows.length, Math.max(most, found.rows.length), true))),
      shown.map(([tag, rows]) => el("li", {}, tagBar(tag, data.strings[tag], rows, most, false)))),
    listed.length > shown.length &&
      el("button", { type: "button", class: "quiet", "data-key": "more-tags", onclick: () => { tagsListed += 100; drawFilters(results); } },
        `Show more of ${plural(listed.length - shown.length, "tag")}`),
    !listed.length && !chosen.length && el("p", { class: "muted" }, "No tags in these rows."));
}

function tagBar(tag, name, rows, most, pressed) {
  const all = data.tagCounts.get(tag);
  return el("button", {
    type: "button", class: "tag-bar", "aria-pressed": String(pressed), "data-key": `tag:${name}`,
    title: all === undefined ? null : `${plural(all, "row")} in all`,
    style: { "--share": `${Math.round((100 * rows) / most)}%` },
    onclick: () => toggle("tag", name),
  }, el("span", { dir: "auto" }, name), el("span", { class: "number" }, count(rows)));
}

// What is filtered now; each can be taken away.
function drawChips() {
  const chip = (text, remove) =>
    el("button", { type: "button", class: "chip", "data-key": `chip:${text}`, onclick: remove },
      el("span", { dir: "auto" }, text), el("span", { "aria-hidden": "true" }, " ×"), el("span", { class: "unseen" }, " (remove)"));
  const chips = [
    state.q && chip(`“${state.q}”`, () => show({ q: "" })),
    ...["tag", "config", "reason", "round"].flatMap((name) =>
      state[name].map((value) => chip(name === "tag" ? value : `${name}: ${value}`, () => toggle(name, value)))),
    state.under && chip(`under ${treeNode(state.under)?.name ?? state.under}`, () => show({ under: "" })),
  ].filter(Boolean);
  if (chips.length > 1) {
    chips.push(el("button", { type: "button", class: "chip clear", "data-key": "clear", onclick: () => show({ q: "", tag: [], config: [], reason: [], round: [], under: "" }) }, "clear all"));
  }
  redraw($("chips"), chips);
}
