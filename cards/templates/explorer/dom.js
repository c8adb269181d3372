// Making elements. Text from rows becomes text nodes and attribute values here, never markup: no file of the page
// assigns HTML, and the content security policy would refuse it.

const $ = (id) => document.getElementById(id);

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, length] of Object.entries(value)) node.style.setProperty(key, length);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false));
  return node;
}

const el = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);
const svg = (tag, props = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);

const count = (n) => n.toLocaleString("en-US");
const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// Draw a part of the page anew; the control that had the focus (by id or data-key) has it afterwards too.
function redraw(container, ...children) {
  const held = container.contains(document.activeElement) ? document.activeElement : null;
  const key = held?.dataset.key;
  const id = held?.id;
  container.replaceChildren(...children.flat(2).filter((child) => child != null && child !== false));
  if (!held) return;
  const again = key ? [...container.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key) : id && $(id);
  again?.focus({ preventScroll: true });
}

// The text with every one of the words marked.
function marked(text, words) {
  if (!words.length) return [text];
  const pattern = new RegExp(words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"), "giu");
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    if (!found[0]) continue;
    parts.push(text.slice(end, found.index), el("mark", {}, found[0]));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}
