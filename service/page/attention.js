// What SIAM says and what it looked at: its age, the faces that counted most under their heat, a bar for every frame.

import { drawInterval, fit, make, moments, scales, ticks } from "./draw.js";

const [FIRST_CELL_PX, CELL_STEP_PX, SIDE_PX] = [17.5, 8, 114];  // what the cells look at, as the API describes it
const $ = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function showSiam({ siam, disagreement, age, clip }) {
  for (const id of ["siam-card", "attention-card"]) $(id).hidden = !siam;
  if (!siam) return;
  $("siam-years").textContent = siam.age.years.toFixed(0);
  showInterval($("siam-interval"), siam.age);
  $("apart").hidden = !disagreement;
  if (disagreement) $("apart").textContent = inWords(disagreement, age, siam.age);
  $("attended").replaceChildren(...siam.picture.map(face));
  fit($("weights"), (width) => drawWeights($("weights"), width, siam, clip.smile));
  $("weights-words").textContent = weightsInWords(siam);
}

export function showInterval(node, { years, interval }) {
  const words = interval
    ? `${interval.low.toFixed(0)} to ${interval.high.toFixed(0)} years: such intervals hold the age of ${Math.round(100 * interval.coverage)} in 100 people of the calibration set.`
    : "No interval: these weights were never calibrated.";
  const hint = element("p", { className: "hint", textContent: words });
  node.replaceChildren(...(interval ? [drawInterval(years, interval)] : []), hint);
}

function inWords({ years, intervals_overlap: overlap }, first, second) {
  const apart = `The first network says ${first.years.toFixed(1)}, SIAM ${second.years.toFixed(1)}: ${Math.abs(years).toFixed(1)} years apart.`;
  return overlap === null ? apart : `${apart} Their intervals ${overlap ? "overlap" : "do not overlap: trust neither"}.`;
}

function face({ time_s: seconds, weight, frame, heat }) {
  const at = `${seconds.toFixed(2)} s`;
  return element("li", {},
    element("img", { src: frame, width: 160, height: 160, alt: `The frame at ${at} under SIAM's attention` }),
    element("img", { src: heat, width: 114, height: 114, alt: `The face at ${at}, warped, under its attention` }),
    element("span", { className: "number", textContent: at }),
    element("span", { className: "hint number", textContent: `weight ${percent(weight)}` }));
}

function drawWeights(svg, width, { frames, picture }, smile) {
  const step = frames.length > 1 ? (frames.at(-1).time_s - frames[0].time_s) / (frames.length - 1) : 1;
  const highest = 1.05 * Math.max(...frames.map((frame) => frame.weight));
  const box = { left: 52, right: width - 10, top: 64, bottom: 196 };
  const { x, y } = scales(box, [frames[0].time_s, frames.at(-1).time_s + step], [0, highest]);
  svg.setAttribute("viewBox", `0 0 ${width} 230`);
  const parts = ticks(0, highest, 3).flatMap((weight) => [
    make("line", { class: "grid", x1: box.left, x2: box.right, y1: y(weight), y2: y(weight) }),
    make("text", { x: box.left - 8, y: y(weight) + 4, "text-anchor": "end" }, `${Number((100 * weight).toFixed(3))} %`),
  ]);
  for (const t of ticks(frames[0].time_s, frames.at(-1).time_s, width / 70)) {
    parts.push(make("text", { x: x(t), y: box.bottom + 22, "text-anchor": "middle" }, `${t} s`));
  }
  const shown = new Set(picture.map((frame) => frame.time_s));
  frames.forEach(({ time_s: t, weight }, i) => {
    const end = x(i + 1 < frames.length ? frames[i + 1].time_s : t + step);
    const bar = { x: x(t), y: y(weight), width: Math.max(end - x(t) - 0.6, 0.6), height: box.bottom - y(weight) };
    parts.push(make("rect", { class: shown.has(t) ? "bar picked" : "bar", ...bar }));
  });
  const equal = y(1 / frames.length);
  parts.push(make("line", { class: "equal", x1: box.left, x2: box.right, y1: equal, y2: equal }));
  svg.replaceChildren(...parts, ...moments(smile, x, width, box));
}

function weightsInWords({ frames, spatial }) {
  const most = frames.reduce((best, frame) => (frame.weight > best.weight ? frame : best));
  const cells = spatial.mean.flatMap((row, r) => row.map((weight, c) => ({ weight, r, c })));
  const { r, c } = cells.reduce((best, cell) => (cell.weight > best.weight ? cell : best));
  const third = (place, names) => names[Math.floor(3 * (FIRST_CELL_PX + CELL_STEP_PX * place) / SIDE_PX)];
  const where = `${third(r, ["upper", "middle", "lower"])} part of the face, ${third(c, ["on the left of", "in the middle of", "on the right of"])} the picture`;
  return `The frame at ${most.time_s.toFixed(2)} s counted most: ${percent(most.weight)}, ${(most.weight * frames.length).toFixed(1)} times what each of ${frames.length} would have if all counted alike (dashed). `
    + `Over all frames the ${where}, was attended most. Orange: the frames shown above.`;
}
