// The flow of the page: start -> (camera) -> work -> result or failure.

import { closeCamera, openCamera, record, whyNoCamera } from "./camera.js";
import { AWAY, forget, readAsJob } from "./job.js";
import { showResult } from "./result.js";
import { Problem } from "./send.js";
import { FAILURES, PASSING } from "./words.js";

const $ = (id) => document.getElementById(id);
const SECTIONS = ["start", "camera", "work", "failure", "result"];
const TITLE = document.title;
const NOTHING_SAVED = $("save-status").textContent;

let clip = null;
let asked = {};
let key = "";
let running = new AbortController();
let drawing = false;

function show(section) {
  for (const id of SECTIONS) $(id).hidden = id !== section;
  const heading = $(`${section}-title`);
  document.title = section === "start" ? TITLE : `${heading.textContent} · ${TITLE}`;
  window.scrollTo(0, 0);
  if (section === "start") $("choose").focus({ preventScroll: true });
  else heading.focus({ preventScroll: true });
}

function stop() {
  running.abort();
  running = new AbortController();
  closeCamera($("preview"));
  return running.signal;
}

function restart() {
  stop();
  forget();
  clip = null;
  $("file").value = "";
  show("start");
}

const chosenNetwork = () => document.querySelector("#networks input:checked").value;

const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

// `how`: what is asked for whenever this clip is sent. `under`: the key by which a job that may live on is found again.
async function read(chosen, how, under = randomKey()) {
  const signal = stop();
  [clip, asked, key] = [chosen, how, under];
  const started = performance.now();
  const clock = setInterval(() => { $("elapsed").textContent = `· ${Math.round((performance.now() - started) / 1000)} s`; }, 1000);
  signal.addEventListener("abort", () => clearInterval(clock));
  $("elapsed").textContent = "";
  $("clip-name").textContent = `${clip.name}, ${(clip.size / 1e6).toFixed(1)} MB`;
  onSent(0);
  show("work");
  try {
    const whole = { ...asked, explain: asked.network !== "siam", picture: true, top: "all" };
    const answer = await readAsJob(clip, whole, { signal, key, onSent, onProgress });
    showResult(answer);
    $("save-status").textContent = NOTHING_SAVED;
    setDrawing(false);
    show("result");
  } catch (error) {
    if (!signal.aborted) fail(error);
  } finally {
    clearInterval(clock);
  }
}

function showStage(words, share) {
  if ($("stage").textContent !== words) $("stage").textContent = words;
  if (share === null) $("bar").removeAttribute("value");
  else $("bar").value = share;
}

function onSent(share) {
  showStage("Sending the clip", share < 1 ? share : null);
}

function onProgress({ state, fraction }) {
  if (state === "queued") showStage("Waiting for a free place", null);
  else if (state === "lost") showStage("Waiting for the service", null);
  else showStage(asked.network === "siam" ? "Following the face" : "Following the face and weighing its regions", fraction);
}

function fail(error) {
  closeCamera($("preview"));
  const code = error instanceof Problem ? error.code : "page";
  const [title, advice] = FAILURES[code] ?? ["This did not work.", "Try again, or send another clip."];
  $("failure-title").textContent = title;
  $("failure-advice").textContent = advice;
  $("failure-detail").textContent = [error.detail, error.requestId && `Request ${error.requestId}.`].filter(Boolean).join(" ");
  if (code === "page") console.error(error);
  if (!AWAY.includes(code)) key = randomKey();
  const mayPass = clip !== null && (PASSING.includes(code) || !(code in FAILURES));
  $("again").hidden = !mayPass;
  $("other").classList.toggle("primary", !mayPass);
  show("failure");
}

async function useCamera() {
  const signal = stop();
  $("guide").textContent = "Waiting for the camera";
  $("start-recording").disabled = true;
  show("camera");
  try {
    await openCamera($("preview"), signal, () => {
      stop();
      fail(new Problem("camera_lost"));
    });
    $("guide").textContent = "";
    $("start-recording").disabled = false;
  } catch (error) {
    if (signal.aborted) return;
    $("guide").textContent = error.name === "NotAllowedError"
      ? "The camera is blocked. Allow it in the browser, then try again."
      : "No camera could be opened.";
  }
}

async function startRecording() {
  const { signal } = running;
  $("start-recording").disabled = true;
  try {
    const recording = await record($("preview").srcObject, $("guide"), $("guide-progress"), signal);
    read(recording, { mirrored: false, network: chosenNetwork() });  // the preview is mirrored, the recording is not
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const shownTrait = () => document.querySelector("#trait-switch input:checked")?.value;

// One thing at a time, so that each download follows its own click: browsers drop others. The focus stays.
function setDrawing(value) {
  drawing = value;
  for (const id of ["save-png", "save-svg", "save-film"]) $(id).setAttribute("aria-disabled", value);
}

// `parameters`: of the job, beside those of this clip; `wanted` and `type`: as of readAsJob.
async function saveDrawn(what, extension, { parameters, wanted, type }) {
  if (drawing) return;
  setDrawing(true);
  const { signal } = running;
  const trait = shownTrait();
  $("save-status").textContent = `Drawing the ${what} …`;
  try {
    const drawn = await readAsJob(clip, { ...asked, ...parameters }, { signal, wanted, type });
    save(drawn, `smile-${trait ?? "siam"}.${extension}`);
    $("save-status").textContent = `The ${what} is saved.`;
  } catch (error) {
    if (signal.aborted) return;
    const [title, advice] = FAILURES[error.code] ?? [`The ${what} could not be drawn.`, "Try again."];
    $("save-status").textContent = `${title} ${advice}`;
  } finally {
    if (!signal.aborted) setDrawing(false);
  }
}

function saveFigure(format) {
  const theme = matchMedia("(prefers-color-scheme: dark)").matches && format === "png" ? "dark" : "light";
  const trait = shownTrait();
  const look = new URLSearchParams({ kind: "all", format, theme, ...(trait && { trait }) });
  return saveDrawn("figure", format, { wanted: `figure?${look}`, type: format === "png" ? "image/png" : "image/svg+xml" });
}

function saveFilm() {
  return saveDrawn("film", "mp4", { parameters: { film: "mp4", traits: shownTrait() }, wanted: "film", type: "video/mp4" });
}

function take(files) {
  if (files?.length) read(files[0], { mirrored: $("mirrored").checked, network: chosenNetwork() });
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => take($("file").files));
$("record").addEventListener("click", useCamera);
$("start-recording").addEventListener("click", startRecording);
for (const id of ["stop-camera", "cancel", "other", "new"]) $(id).addEventListener("click", restart);
$("again").addEventListener("click", () => read(clip, asked, key));
$("save-png").addEventListener("click", () => saveFigure("png"));
$("save-svg").addEventListener("click", () => saveFigure("svg"));
$("save-film").addEventListener("click", saveFilm);
$("save-json").addEventListener("click", () => {
  save(new Blob([JSON.stringify($("result").answer, null, 1)], { type: "application/json" }), "smile.json");
});

window.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
window.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (!$("start").hidden) take(event.dataTransfer.files);
});

const why = whyNoCamera();
if (why) {
  $("record").disabled = true;
  $("record").setAttribute("aria-describedby", "no-camera");
  Object.assign($("no-camera"), { hidden: false, textContent: why });
}

async function showCard() {
  const response = await fetch("model");
  if (!response.ok) return;
  const card = await response.json();
  $("notice").textContent = card.notice;
  $("networks").hidden = !card.siam;
  $("most").textContent = ` At most ${card.limits.max_duration_s} s and ${card.limits.max_upload_mb} MB.`;
  for (const words of document.querySelectorAll(".of-gender")) words.hidden = !card.traits.includes("gender");
  const fields = {
    Model: `${card.name}, version ${card.version}`,
    "Trained on": card.trained_on ?? "nothing: the weights are untrained",
    "Licence of the weights": card.licence,
    Answers: card.traits.join(", "),
    Interval: card.interval_coverage ? `holds the age of ${Math.round(100 * card.interval_coverage)} in 100` : "never calibrated",
    Runs: card.provider,
    ...(card.siam && {
      "Second network": `${card.siam.name}, version ${card.siam.version}`,
      "Its training": card.siam.trained_on ?? "none: the weights are untrained",
      "Its licence": card.siam.licence,
    }),
  };
  $("card-fields").replaceChildren(...Object.entries(fields).flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: value }),
  ]));
}
showCard().catch(() => {});
