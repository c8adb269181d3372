// What changed between two texts, word by word: the shortest edit script (Myers, 1986).

const MOST_EDITS = 1_000; // texts further apart count as rewritten

// Words; single characters of scripts that put no space between words; emoji sequences as one.
const TOKEN = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]\p{M}*|[\p{L}\p{N}_][\p{L}\p{N}\p{M}_]*|\s+|\p{Extended_Pictographic}(?:\u200d\p{Extended_Pictographic}|[\ufe0f\u{1f3fb}-\u{1f3ff}])*|[^]/gsu;

// [kind, text] pairs in reading order; kind is "=", "+" or "-".
function diffWords(before, after) {
  const a = before.match(TOKEN) ?? [];
  const b = after.match(TOKEN) ?? [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = edits(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const tokens = [...a.slice(0, start).map((t) => ["=", t]), ...middle, ...a.slice(a.length - end).map((t) => ["=", t])];
  slideToWords(tokens);
  return grouped(tokens);
}

function edits(a, b) {
  const rewritten = [...a.map((t) => ["-", t]), ...b.map((t) => ["+", t])];
  if (!a.length || !b.length) return rewritten;
  const most = Math.min(a.length + b.length, MOST_EDITS);
  let reach = new Int32Array([0, 0, 0]); // furthest place in `a` on each diagonal, from -d - 1 to d + 1
  const trail = [];
  for (let d = 0; d <= most; d += 1) {
    const next = new Int32Array(2 * d + 5);
    const at = (k) => reach[k + d + 1] ?? 0;
    for (let k = -d; k <= d; k += 2) {
      let x = k === -d || (k !== d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      next[k + d + 2] = x;
      if (x >= a.length && x - k >= b.length) return backwards(trail.concat([next]), a, b, d);
    }
    trail.push(next);
    reach = next;
  }
  return rewritten;
}

function backwards(trail, a, b, last) {
  const steps = [];
  let x = a.length;
  let y = b.length;
  for (let d = last; d > 0; d -= 1) {
    const reach = trail[d - 1];
    const at = (k) => reach[k + d + 1] ?? 0;
    const k = x - y;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = at(fromK);
    const fromY = fromX - fromK;
    for (; x > fromX + (down ? 0 : 1); x -= 1, y -= 1) steps.push(["=", a[x - 1]]);
    steps.push(down ? ["+", b[y - 1]] : ["-", a[x - 1]]);
    x = fromX;
    y = fromY;
  }
  for (; x > 0; x -= 1) steps.push(["=", a[x - 1]]);
  return steps.reverse();
}

// "end[. More text]." reads better as "end.[ More text.]": a lone run moves on to where it begins with a blank.
function slideToWords(tokens) {
  for (let start = 0, end = 0; start < tokens.length; start = end) {
    const kind = tokens[start][0];
    for (end = start + 1; end < tokens.length && tokens[end][0] === kind; ) end += 1;
    if (kind === "=" || (start > 0 && tokens[start - 1][0] !== "=")) continue;
    let by = 0;
    while (tokens[end + by]?.[0] === "=" && tokens[end + by][1] === tokens[start + by][1] && !/^\s/.test(tokens[start + by][1])) by += 1;
    if (!by || !/^\s/.test(tokens[start + by][1])) continue;
    for (let n = 0; n < by; n += 1) [tokens[start + n][0], tokens[end + n][0]] = ["=", kind];
    end += by;
  }
}

// Runs of equal kind become one; of a change the removed part comes first, and a blank between two changed words
// belongs to the change.
function grouped(tokens) {
  const parts = [];
  let removed = "";
  let added = "";
  const keep = (text) => {
    if (parts.at(-1)?.[0] === "=") parts.at(-1)[1] += text;
    else if (text) parts.push(["=", text]);
  };
  const flush = () => {
    const blank = /\s+$/.exec(removed)?.[0];
    const shared = blank && added.endsWith(blank) ? blank : "";
    if (removed.length > shared.length) parts.push(["-", removed.slice(0, removed.length - shared.length)]);
    if (added.length > shared.length) parts.push(["+", added.slice(0, added.length - shared.length)]);
    keep(shared);
    removed = added = "";
  };
  tokens.forEach(([kind, text], place) => {
    const next = tokens[place + 1]?.[0] ?? "=";
    if (kind === "-") removed += text;
    else if (kind === "+") added += text;
    else if (removed && added && next !== "=" && /^\s+$/.test(text)) {
      removed += text;
      added += text;
    } else {
      flush();
      keep(text);
    }
  });
  flush();
  return parts;
}
