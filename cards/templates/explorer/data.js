// The rows: unpacked from the page itself, once, when it opens.

const data = { head: null, rows: [], strings: [], tagCounts: new Map(), columns: new Map(), byNumber: new Map(), byId: new Map(), children: new Map() };

class Row {
  constructor(raw) {
    this.raw = raw;
    this.number = raw[0];
    this.places = raw[1]; // config, the row's number in it, config, …
    this.id = this.get("id");
    this.reason = String(this.get("reason") ?? "").split(":")[0];
    const round = this.get("iteration");
    this.round = round === null ? null : Number(round);
    const codes = data.head.tagColumn ? this.codes(data.head.tagColumn) : [];
    this.tags = [...new Set(codes)];
  }

  get configs() {
    return this.places.filter((_, place) => place % 2 === 0);
  }

  get(name) {
    let column = data.columns.get(name);
    if (column?.kind === "same") column = data.columns.get(column.of);
    const value = column ? this.raw[column.place] ?? null : null;
    if (value === null) return null;
    if (column.kind === "code" && typeof value === "number") return data.strings[value];
    if (column.kind === "codes") return value.map((code) => (typeof code === "number" ? data.strings[code] : code));
    return value;
  }

  // The numbers of strings in a column of tags; a column whose tags were too different to share any has texts.
  codes(name) {
    const value = data.columns.get(name)?.kind === "codes" ? this.raw[data.columns.get(name).place] : this.get(name);
    return (value ?? []).filter((tag) => tag !== null).map((tag) => (typeof tag === "number" ? tag : stringCode(tag)));
  }

  get messages() {
    const value = this.get("messages");
    if (!Array.isArray(value)) return [];
    return value.filter((turn) => turn && typeof turn === "object").map((turn) => ({ role: asText(turn.role), content: asText(turn.content) }));
  }

  get instruction() {
    const own = this.get("instruction");
    return own !== null ? asText(own) : this.messages.find((turn) => turn.role === "user")?.content ?? "";
  }

  get response() {
    return asText(this.get("response"));
  }

  get length() {
    return this.messages.length ? this.messages.reduce((sum, turn) => sum + turn.content.length, 0) : this.instruction.length;
  }

  get parent() {
    const id = this.get("parent_id");
    const parent = id === null ? null : data.byId.get(String(id));
    return parent && parent !== this ? parent : null;
  }
}

function asText(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

const codesOfStrings = new Map();
function stringCode(text) {
  if (!codesOfStrings.has(text)) {
    codesOfStrings.set(text, data.strings.length);
    data.strings.push(text);
  }
  return codesOfStrings.get(text);
}

async function unpack() {
  if (!("DecompressionStream" in window)) {
    throw new Error("This browser cannot unpack the rows (it has no DecompressionStream). Open the page with a version of Chrome, Edge, Firefox or Safari from 2023 or later.");
  }
  const packed = $("data").textContent;
  const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const lines = (await new Response(stream).text()).split("\n").filter(Boolean);
  data.head = JSON.parse(lines[0]);
  data.strings = data.head.strings;
  data.head.tagCounts.forEach((rows, code) => data.tagCounts.set(code, rows));
  let place = 2;
  for (const column of data.head.columns) {
    data.columns.set(column.name, { ...column, place: column.kind === "same" ? -1 : place });
    if (column.kind !== "same") place += 1;
  }
  const raws = [];
  for (const line of lines.slice(1)) {
    const value = JSON.parse(line);
    if (Array.isArray(value)) raws.push(...value);
    else {
      data.strings.push(...value.strings);
      for (const [code, rows] of Object.entries(value.counts)) data.tagCounts.set(Number(code), rows);
    }
  }
  data.strings.forEach((text, code) => codesOfStrings.set(text, code));
  data.rows = raws.map((raw) => new Row(raw)).sort((a, b) => a.number - b.number);
  for (const row of data.rows) {
    data.byNumber.set(row.number, row);
    if (row.id !== null && !data.byId.has(String(row.id))) data.byId.set(String(row.id), row);
  }
  for (const row of data.rows) {
    const parent = row.parent;
    if (parent) data.children.set(parent, [...(data.children.get(parent) ?? []), row]);
  }
}

// From the first ancestor to the row itself; a circle ends where it closes.
function ancestry(row) {
  const chain = [row];
  for (let parent = row.parent; parent && !chain.includes(parent); parent = parent.parent) chain.unshift(parent);
  return chain;
}

// All that descends from the row, children before their cousins, as [row, generations].
function descendants(row, most = 200) {
  const found = [];
  const seen = new Set(ancestry(row));
  const visit = (from, depth) => {
    for (const child of data.children.get(from) ?? []) {
      if (seen.has(child) || found.length >= most) continue;
      seen.add(child);
      found.push([child, depth]);
      visit(child, depth + 1);
    }
  };
  visit(row, 1);
  return found;
}
