// What an answer looks like.

import { showInterval, showSiam } from "./attention.js";
import { colour, drawCourse, drawFace, fit, scaleOf } from "./draw.js";
import { WARNINGS, named, region, signed } from "./words.js";

const $ = (id) => document.getElementById(id);
const LISTED = 5;
const UNITS = { age: ["years", 1, 2], gender: ["points", 100, 1] };  // unit, factor, digits

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const span = (className, ...children) => element("span", { className }, ...children);

export function showResult(answer) {
  $("result").answer = answer;
  $("warnings").replaceChildren(...answer.clip.warnings.map(({ code, message }) => {
    const [what, then] = WARNINGS[code] ?? [message, ""];
    return element("div", { className: "warning" }, element("strong", { textContent: what }), span("", then));
  }));
  showAge(answer.age);
  showGender(answer.gender);
  showSiam(answer);
  const traits = ["age", "gender"].filter((trait) => answer[trait]);
  for (const id of ["relations", "movement", "save-film"]) $(id).hidden = !traits.length;
  for (const label of $("trait-switch").querySelectorAll("label")) label.remove();
  if (!traits.length) return;
  showSwitch(answer, traits);
  fit($("course"), (width) => drawCourse($("course"), width, answer.picture, answer.clip.smile));
  $("course-words").textContent = courseInWords(answer);
}

function showAge(age) {
  $("age-card").hidden = !age;
  if (!age) return;
  $("age-years").textContent = age.years.toFixed(0);
  showInterval($("age-interval"), age);
}

function showGender(gender) {
  $("gender-card").hidden = !gender;
  if (!gender) return;
  $("gender-label").textContent = gender.label;
  $("gender-probability").textContent = `${Math.round(100 * gender.probability)} %`;
}

function showSwitch(answer, traits) {
  const choices = traits.map((trait, i) => {
    const input = element("input", { type: "radio", name: "trait", value: trait, checked: i === 0 });
    input.addEventListener("change", () => showRelations(answer, trait));
    return element("label", {}, input, element("span", { textContent: trait === "age" ? "Age" : "Gender" }));
  });
  $("trait-switch").replaceChildren($("trait-switch").querySelector("legend"), ...choices);
  $("trait-switch").classList.toggle("single", traits.length < 2);
  showRelations(answer, traits[0]);
}

function showRelations(answer, trait) {
  const { pairs, triplets, region_effects: effects } = answer[trait];
  const scale = scaleOf(pairs);
  const light = drawFace($("face"), answer.picture.face, pairs);
  const rows = new Map();
  let pinned = pairs[0];

  function enter(relation) {
    light(relation);
    $("face-words").replaceChildren(...relation.regions.flatMap((name, i) => {
      const { words, side } = region(name);
      return [i ? " + " : "", words, ...(side ? [span("", ` (person’s ${side})`)] : [])];
    }));
  }
  function pin(relation) {
    pinned = relation;
    for (const [one, row] of rows) row.setAttribute("aria-pressed", one === relation);
    enter(relation);
  }
  function row(relation, most) {
    const button = element("button", { type: "button" },
      span("rank number", String(relation.rank)), span("", named(relation)), span("value number", relation.importance.toFixed(3)));
    const bar = element("span");
    const share = relation.importance / most;
    bar.style.width = `${100 * share}%`;
    bar.style.background = relation.regions.length === 2 ? colour(relation.importance / scale) : "var(--accent)";
    button.append(span("track", bar));
    const effect = relation[trait === "age" ? "years" : "probability"];
    if (effect !== undefined && effect !== null) button.append(span("effect number", `measured effect ${amount(effect, trait)}`));
    button.addEventListener("mouseenter", () => enter(relation));
    button.addEventListener("mouseleave", () => enter(pinned));
    button.addEventListener("focus", () => enter(relation));
    button.addEventListener("blur", () => enter(pinned));
    button.addEventListener("click", () => pin(relation));
    rows.set(relation, button);
    return element("li", {}, button);
  }
  for (const [id, relations] of [["pairs", pairs], ["triplets", triplets]]) {
    $(id).replaceChildren(...relations.slice(0, LISTED).map((relation) => row(relation, relations[0].importance)));
  }
  $("relations-title").textContent = trait === "age" ? "Relations weighed for the age" : "Relations weighed for the gender";
  $("scale-top").textContent = scale.toFixed(3);
  $("effect-note").textContent = trait === "gender" ? "Effects are on the probability, in percentage points." : "";
  showEffects(effects, trait, answer);
  pin(pinned);
}

function amount(effect, trait) {
  const [unit, factor, digits] = UNITS[trait];
  return `${signed(factor * effect, digits)} ${unit}`;
}

function showEffects(effects, trait, answer) {
  $("effects-title").textContent = trait === "age" ? "What each region adds to the age, in years" : `What each region adds to “${answer.gender.label}”, in points`;
  const values = effects.map((effect) => effect[trait === "age" ? "years" : "probability"]);
  const most = Math.max(...values.map(Math.abs)) || 1;
  $("effects").replaceChildren(...effects.map((effect, i) => {
    const bar = span(values[i] < 0 ? "minus" : "plus");
    bar.style.width = `${50 * Math.abs(values[i]) / most}%`;
    const [, factor, digits] = UNITS[trait];
    return element("li", {}, span("", region(effect.region).words), span("track", bar), span("number", signed(factor * values[i], digits)));
  }));
}

function courseInWords({ clip, picture }) {
  const { smile } = clip;
  const times = [["begins", smile.onset_s], ["is full", smile.apex_s], ["fades", smile.offset_s]]
    .filter(([, seconds]) => seconds !== null).map(([word, seconds]) => `${word} at ${seconds.toFixed(2)} s`);
  const said = times.length ? `The smile ${times.join(", ")}.` : "No beginning or end of a smile was seen.";
  return `${said} Width of the mouth over the width of the eyes: dots at the ${picture.times_s.length} instants that were used, and the smoothed line that is judged. The ring marks the face shown above.`;
}
