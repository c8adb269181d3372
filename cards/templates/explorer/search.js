// Which rows pass the filters, in which order, and how many would for each choice of a filter.

const searchText = new Map();

function textOf(row) {
  if (!searchText.has(row)) {
    const parts = [row.id ?? "", row.instruction, row.response, ...row.messages.map((turn) => turn.content)];
    searchText.set(row, parts.join("\n").toLowerCase());
  }
  return searchText.get(row);
}

// Words of a query; what stands in quotes is one.
function queryWords(query) {
  return [...query.toLowerCase().matchAll(/"([^"]+)"|([^\s"]+)/g)].map((found) => found[1] ?? found[2]);
}

// Rows that pass everything, and for each choice the rows that pass everything else.
function search() {
  const words = queryWords(state.q);
  const tags = state.tag.map((name) => codesOfStrings.get(name) ?? -1);
  const configs = new Set(state.config.map((name) => data.head.configs.findIndex(([known]) => known === name)));
  const reasons = new Set(state.reason);
  const rounds = new Set(state.round.map(Number));
  const under = state.under ? tagsUnder(state.under) : null;
  const rows = [];
  const counts = { config: new Map(), reason: new Map(), round: new Map(), tag: new Map() };
  const add = (kind, value) => counts[kind].set(value, (counts[kind].get(value) ?? 0) + 1);
  for (const row of data.rows) {
    if (!tags.every((tag) => row.tags.includes(tag))) continue;
    if (under && !row.tags.some((tag) => under.has(tag))) continue;
    const inConfigs = row.configs;
    const passes = {
      config: !configs.size || inConfigs.some((config) => configs.has(config)),
      reason: !reasons.size || reasons.has(row.reason),
      round: !rounds.size || rounds.has(row.round),
    };
    const fails = Object.keys(passes).filter((kind) => !passes[kind]);
    if (fails.length > 1 || (words.length && !words.every((word) => textOf(row).includes(word)))) continue;
    const counted = (kind) => !fails.length || fails[0] === kind;
    if (counted("config")) for (const config of inConfigs) add("config", config);
    if (counted("reason") && row.reason) add("reason", row.reason);
    if (counted("round") && row.round !== null) add("round", row.round);
    if (fails.length) continue;
    for (const tag of row.tags) add("tag", tag);
    rows.push(row);
  }
  return { rows: sorted(rows), counts, words };
}

const ORDERS = {
  "most tags": (a, b) => b.tags.length - a.tags.length,
  "fewest tags": (a, b) => a.tags.length - b.tags.length,
  "longest instruction": (a, b) => b.length - a.length,
  "shortest instruction": (a, b) => a.length - b.length,
  "longest response": (a, b) => b.response.length - a.response.length,
};

// Every column of numbers is an order too: "utility, high to low".
function orderNames() {
  const numeric = data.head.columns.filter((column) => column.numeric).map((column) => column.name);
  return ["", ...Object.keys(ORDERS), ...numeric.flatMap((name) => [`${name}, high to low`, `${name}, low to high`])];
}

function sorted(rows) {
  if (ORDERS[state.sort]) return rows.sort((a, b) => ORDERS[state.sort](a, b) || a.number - b.number);
  const found = /^(.+), (high to low|low to high)$/s.exec(state.sort);
  if (!found || !data.columns.get(found[1])?.numeric) return rows;
  const sign = found[2] === "low to high" ? 1 : -1;
  // Rows without a number come last, whichever way.
  const value = new Map(rows.map((row) => [row, row.get(found[1])]));
  return rows.sort((a, b) => {
    const [x, y] = [value.get(a), value.get(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a.number - b.number;
    return sign * (x - y) || a.number - b.number;
  });
}
