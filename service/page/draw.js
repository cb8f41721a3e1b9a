// The face with its relations, the course of the smile, the interval: SVG made of elements, never of strings.

import { REGIONS, region } from "./words.js";

const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
const SIZE = 300;
const EQUAL_SHARE = 1 / 36;

export function make(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function colour(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const channel = (code, i) => parseInt(code.slice(i, i + 2), 16);
  const mixed = [0, 2, 4].map((i) => {
    const from = channel(VIRIDIS[low], i);
    return Math.round(from + (channel(VIRIDIS[low + 1], i) - from) * (place - low));
  });
  return `rgb(${mixed.join(" ")})`;
}

// Top of the colour scale: an equal share is never above its middle, so that equal looks equal.
export const scaleOf = (pairs) => Math.max(2 * EQUAL_SHARE, ...pairs.map((pair) => pair.importance));

function linkPath(a, b) {
  const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
  const end = `${b.x * SIZE} ${b.y * SIZE}`;
  if (!REGIONS.some((one) => Math.hypot(one.x - x, one.y - y) < 0.01)) return `M${a.x * SIZE} ${a.y * SIZE}L${end}`;
  let [dx, dy] = [x - 0.5, y - 0.5];
  if (Math.hypot(dx, dy) < 0.01) [dx, dy] = [a.y - b.y, b.x - a.x];
  const bend = 0.16 / Math.hypot(dx, dy);
  return `M${a.x * SIZE} ${a.y * SIZE}Q${(x + dx * bend) * SIZE} ${(y + dy * bend) * SIZE} ${end}`;
}

// Draws the face into `svg` and returns a function that lights up one relation.
export function drawFace(svg, image, pairs) {
  const scale = scaleOf(pairs);
  const cell = SIZE / 3;
  const title = svg.querySelector("title");
  const shades = REGIONS.map((one) => make("rect", {
    class: "shade", x: one.x * SIZE - cell / 2, y: one.y * SIZE - cell / 2, width: cell, height: cell, fill: "#000",
  }));
  const links = pairs.map((pair) => {
    const d = linkPath(...pair.regions.map(region));
    return { pair, edge: make("path", { class: "edge", d }), line: make("path", { d, stroke: colour(pair.importance / scale), "stroke-linecap": "round" }) };
  });
  const [below, above] = [make("g"), make("g")];
  svg.replaceChildren(title, ...(image ? [make("image", { href: image, width: SIZE, height: SIZE })] : []), ...shades, below, above);

  return function light(relation) {
    const chosen = relation.regions.map(region);
    shades.forEach((shade, id) => shade.setAttribute("fill-opacity", chosen.some((one) => one.id === id) ? 0 : 0.36));
    const strong = [];
    below.replaceChildren();
    for (const { pair, edge, line } of links) {
      const share = pair.importance / scale;
      const inside = pair.regions.every((name) => relation.regions.includes(name));
      line.setAttribute("stroke-width", inside ? 3 + 7 * share : 0.6 + 2.6 * share);
      line.setAttribute("stroke-opacity", inside ? 1 : 0.45);
      edge.setAttribute("stroke-width", 6.5 + 7 * share);
      if (inside) strong.push(edge, line);
      else below.append(line);
    }
    above.replaceChildren(...strong, ...chosen.flatMap((one) => boxed(one, cell)), ...chosen.map((one) => nameOf(one, cell)));
    title.textContent = `The aligned face; lit up: ${chosen.map((one) => one.words).join(", ")}`;
  };
}

function boxed(one, cell) {
  const box = { x: one.x * SIZE - cell / 2 + 2, y: one.y * SIZE - cell / 2 + 2, width: cell - 4, height: cell - 4, rx: 6, fill: "none" };
  return [
    make("rect", { ...box, stroke: "#000", "stroke-opacity": 0.55, "stroke-width": 4.5 }),
    make("rect", { ...box, stroke: "#fff", "stroke-width": 2.2 }),
    make("circle", { cx: one.x * SIZE, cy: one.y * SIZE, r: 5.5, fill: "#fff", stroke: "#000", "stroke-width": 1.8 }),
  ];
}

function nameOf(one, cell) {
  const lines = one.words.split(" ").length > 2 ? [one.words.replace(/ \w+$/, ""), one.words.match(/\w+$/)[0]] : [one.words];
  const x = one.x * SIZE;
  const y = one.y < 0.3 ? 20 : one.y * SIZE + cell / 2 - 11 - 16 * (lines.length - 1);
  return make("text", { x, y }, ...lines.map((words, i) => make("tspan", { x, dy: i * 16 }, words)));
}

const MOMENTS = [["onset", "onset_s"], ["apex", "apex_s"], ["offset", "offset_s"]];

// `width` is that of the drawing in pixels, so that its text has one size everywhere.
export function drawCourse(svg, width, picture, smile) {
  const box = { left: 44, right: width - 10, top: 64, bottom: 196 };
  const { left, right, bottom } = box;
  svg.setAttribute("viewBox", `0 0 ${width} 230`);
  const measured = picture.times_s.map((t, i) => [t, picture.mouth_ratios[i]]).filter(([, ratio]) => ratio !== null);
  const ratios = measured.map(([, ratio]) => ratio);
  const spare = Math.max(0.02, (0.2 - (Math.max(...ratios) - Math.min(...ratios))) / 2);
  const [low, high] = [Math.min(...ratios) - spare, Math.max(...ratios) + spare];
  const [first, last] = [picture.times_s[0], picture.times_s.at(-1)];
  const { x, y } = scales(box, [first, last], [low, high]);
  const parts = [];
  for (const ratio of ticks(low, high, 3)) {
    parts.push(make("line", { class: "grid", x1: left, x2: right, y1: y(ratio), y2: y(ratio) }));
    parts.push(make("text", { x: left - 8, y: y(ratio) + 4, "text-anchor": "end" }, ratio.toFixed(2)));
  }
  for (const t of ticks(first, last, width / 70)) parts.push(make("text", { x: x(t), y: bottom + 22, "text-anchor": "middle" }, `${t} s`));
  parts.push(...moments(smile, x, width, box));
  const curve = picture.times_s.map((t, i) => [t, (picture.mouth_curve ?? picture.mouth_ratios)[i]]).filter(([, ratio]) => ratio !== null);
  parts.push(make("path", { class: "line", d: curve.map(([t, ratio], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(ratio).toFixed(1)}`).join("") }));
  parts.push(...measured.map(([t, ratio]) => make("circle", { class: "dot", cx: x(t), cy: y(ratio), r: 1.8 })));
  const shown = measured.find(([t]) => t >= picture.face_s);
  if (shown) parts.push(make("circle", { class: "shown", cx: x(shown[0]), cy: y(shown[1]), r: 6 }));
  svg.replaceChildren(...parts);
}

// Lines and labels at onset, apex and offset; a label that would touch the one before goes a line higher.
export function moments(smile, x, width, { top, bottom }) {
  let end = -Infinity;
  let level = 0;
  return MOMENTS.filter(([, key]) => smile[key] !== null).flatMap(([word, key]) => {
    const label = Math.min(Math.max(x(smile[key]), 60), width - 56);
    level = label - 56 < end ? level + 1 : 0;
    end = label + 56;
    const height = top - 12 - 20 * level;
    return [
      make("line", { class: "at", x1: x(smile[key]), x2: x(smile[key]), y1: height + 5, y2: bottom }),
      make("text", { class: "moment", x: label, y: height, "text-anchor": "middle" }, `${word} ${smile[key].toFixed(2)} s`),
    ];
  });
}

export function scales({ left, right, top, bottom }, [first, last], [low, high]) {
  return {
    x: (value) => left + (right - left) * (value - first) / (last - first || 1),
    y: (value) => bottom - (bottom - top) * (value - low) / (high - low || 1),
  };
}

const fitted = new Map();

// Draws into `svg` for its width, now and whenever that changes; the next call for it takes the place of this one.
export function fit(svg, draw) {
  fitted.get(svg)?.disconnect();
  const observer = new ResizeObserver(([entry]) => { if (entry.contentRect.width) draw(entry.contentRect.width); });
  fitted.set(svg, observer);
  observer.observe(svg);
}

export function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(Number((i * step).toFixed(6)));
  return found;
}

export function drawInterval(years, interval) {
  const x = (age) => Math.min(100, Math.max(0, age)) * 3.4;
  const label = `Age ${years.toFixed(0)}, interval ${interval.low.toFixed(0)} to ${interval.high.toFixed(0)}, on a line from 0 to 100 years`;
  return make("svg", { class: "interval", viewBox: "0 0 340 18", role: "img", "aria-label": label },
    make("rect", { y: 6, width: 340, height: 6, rx: 3, fill: "var(--soft)" }),
    make("rect", { x: x(interval.low), y: 4, width: x(interval.high) - x(interval.low), height: 10, rx: 5, fill: "var(--accent)", "fill-opacity": 0.35 }),
    make("circle", { cx: x(years), cy: 9, r: 7, fill: "var(--accent)" }));
}
