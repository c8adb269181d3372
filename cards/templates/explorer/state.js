// What the reader sees, kept in the address after `#`, so that a view can be linked and the browser's Back works.

const LISTS = ["tag", "config", "reason", "round"];
const EMPTY = { q: "", tag: [], config: [], reason: [], round: [], under: "", sort: "", view: "rows", row: null, lineage: false, page: 0 };
let state = { ...EMPTY };

function stateFromHash() {
  const query = new URLSearchParams(location.hash.slice(1));
  const read = { ...EMPTY, q: query.get("q") ?? "", under: query.get("under") ?? "", sort: query.get("sort") ?? "" };
  for (const name of LISTS) read[name] = [...new Set(query.getAll(name))];
  const view = query.get("view");
  if ((view === "map" && data.head.map) || (view === "tree" && data.head.tree)) read.view = view;
  const row = /^\d+$/.test(query.get("row") ?? "") ? Number(query.get("row")) : null;
  read.row = data.byNumber.has(row) ? row : null;
  read.lineage = read.row !== null && query.has("lineage");
  const page = Number(query.get("page") ?? 1);
  read.page = Number.isInteger(page) && page > 0 ? page - 1 : 0;
  return read;
}

function hashOf(shown) {
  const query = new URLSearchParams();
  if (shown.q) query.set("q", shown.q);
  for (const name of LISTS) for (const value of shown[name]) query.append(name, value);
  if (shown.under) query.set("under", shown.under);
  if (shown.sort) query.set("sort", shown.sort);
  if (shown.view !== "rows") query.set("view", shown.view);
  if (shown.row !== null) query.set("row", shown.row);
  if (shown.lineage) query.set("lineage", "1");
  if (shown.page) query.set("page", shown.page + 1);
  return query.toString();
}

// Show something else. Steps that a reader may want to take back (`push`) get an entry in the browser's history.
function show(patch, push = true) {
  const filters = ["q", ...LISTS, "under", "sort"];
  const filtered = filters.some((name) => name in patch && String(patch[name]) !== String(state[name]));
  state = { ...state, ...(filtered ? { page: 0 } : {}), ...patch };
  if (state.row === null) state.lineage = false;
  const hash = `#${hashOf(state)}`;
  if (hash !== (location.hash || "#")) history[push ? "pushState" : "replaceState"](null, "", hash);
  render();
}

function toggle(name, value) {
  const has = state[name].includes(value);
  show({ [name]: has ? state[name].filter((one) => one !== value) : [...state[name], value] });
}
