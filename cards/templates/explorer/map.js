// The map: frequent tags, near those that they share rows with. Positions come with the page; here it is drawn.

let mapFocus = 0; // the tag that the Tab key reaches
let mapNodes = null; // drawn once

function drawMap() {
  const map = data.head.map;
  if (!map) return;
  if (!mapNodes) buildMap(map);
  const chosen = new Set(state.tag);
  const near = new Set();
  map.links.forEach(([a, b], place) => {
    const on = [a, b].some((tag) => chosen.has(data.strings[map.tags[tag][0]]));
    mapNodes.links[place].classList.toggle("on", on);
    if (on) near.add(a).add(b);
  });
  map.tags.forEach(([tag], place) => {
    const node = mapNodes.tags[place];
    node.setAttribute("aria-pressed", String(chosen.has(data.strings[tag])));
    node.setAttribute("tabindex", place === mapFocus ? "0" : "-1");
    node.classList.toggle("far", near.size > 0 && !near.has(place) && !chosen.has(data.strings[tag]));
  });
  redraw($("map-notes"),
    state.tag.map((name) => partners(map, name)).filter(Boolean),
    el("p", { class: "muted" }, state.tag.length ? ["× is how many times more often than by chance. ", readRows()] : "Choose a tag to see its rows and what it goes with. Lines join tags that share more rows than chance would have."));
}

function buildMap(map) {
  const links = map.links.map(([a, b, , lift]) => {
    const [from, to] = [map.tags[a], map.tags[b]];
    return svg("line", { class: "link", x1: from[1], y1: from[2], x2: to[1], y2: to[2], "stroke-width": Math.min(4, 0.6 + Math.log2(Math.max(1, lift)) * 0.6).toFixed(1) });
  });
  const tags = map.tags.map(([tag, x, y, width, height, size, colour, label], place) => {
    const name = data.strings[tag];
    const node = svg("g", { class: `pill c${colour}`, role: "button", transform: `translate(${x} ${y})`, "data-place": place, "aria-label": `${name}, ${plural(data.tagCounts.get(tag), "row")} in all` },
      svg("rect", { x: -width / 2, y: -height / 2, width, height, rx: height / 2 }),
      svg("text", { "font-size": size, "text-anchor": "middle", dy: "0.36em" }, label),
      svg("title", {}, `${name}: ${plural(data.tagCounts.get(tag), "row")} in all`));
    node.addEventListener("click", () => { mapFocus = place; toggle("tag", name); });
    const hint = (on) => () => map.links.forEach(([a, b], link) => (a === place || b === place) && links[link].classList.toggle("hint", on));
    for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]]) node.addEventListener(event, hint(on));
    return node;
  });
  const picture = svg("svg", { viewBox: `0 0 ${map.width} ${map.height}`, role: "group", "aria-label": "Tags that occur together lie near each other" }, links, tags);
  picture.addEventListener("keydown", mapKey);
  mapNodes = { links, tags };
  $("view-map").replaceChildren(el("div", { id: "map-notes" }), el("div", { class: "map" }, picture));
}

// The arrow keys go to the nearest tag in their direction.
function mapKey(event) {
  const place = Number(event.target.closest("[data-place]")?.dataset.place ?? -1);
  if (place < 0) return;
  const map = data.head.map;
  const name = data.strings[map.tags[place][0]];
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === "Enter" || event.key === " ") toggle("tag", name);
  else if (direction) {
    const [dx, dy] = direction;
    let best = null;
    map.tags.forEach(([, x, y], other) => {
      const along = (x - map.tags[place][1]) * dx + (y - map.tags[place][2]) * dy;
      const across = Math.abs((x - map.tags[place][1]) * dy) + Math.abs((y - map.tags[place][2]) * dx);
      const far = along + 2 * across;
      if (along > 1 && (best === null || far < best.far)) best = { other, far };
    });
    if (best) {
      mapFocus = best.other;
      mapNodes.tags.forEach((node, other) => node.setAttribute("tabindex", other === mapFocus ? "0" : "-1"));
      mapNodes.tags[mapFocus].focus();
    }
  } else return;
  event.preventDefault();
}

// What a tag goes with, in words.
function partners(map, name) {
  const place = map.tags.findIndex(([tag]) => data.strings[tag] === name);
  if (place < 0) return null;
  const links = map.links.filter(([a, b]) => a === place || b === place).sort((x, y) => y[3] - x[3]);
  const rows = data.tagCounts.get(map.tags[place][0]);
  return el("p", {}, el("strong", { dir: "auto" }, name), ` (${plural(rows, "row")} in all) goes with `,
    links.length ? links.map(([a, b, shared, lift]) => {
      const other = data.strings[map.tags[a === place ? b : a][0]];
      return [el("button", { type: "button", class: "tag", "data-key": `partner:${name}:${other}`, title: `${plural(shared, "row")} with both`, onclick: () => toggle("tag", other) },
        el("span", { dir: "auto" }, other), el("small", {}, ` ×${lift < 10 ? lift.toFixed(1) : Math.round(lift)}`)), " "];
    }) : "no other tag of the map more often than by chance.");
}
