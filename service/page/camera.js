// Records six seconds of a smile, without sound, and says what to do meanwhile.

import { pause } from "./pause.js";

const COUNTDOWN = ["3", "2", "1"];
const STEPS = [["Look neutral", 1.5], ["Smile broadly", 2.5], ["Relax your face", 2]];
const TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];

export function whyNoCamera() {
  if (!window.isSecureContext) return "Recording needs a safe connection (https), which this page does not have.";
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return "This browser cannot record video.";
  return null;
}

// Shows the camera in `preview`, and calls `onLost` where it goes away by itself. Rejects with AbortError when `signal` is
// aborted: a camera that is allowed only after that is closed again.
export async function openCamera(preview, signal, onLost) {
  const video = { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  if (signal.aborted) stopTracks(stream);
  signal.throwIfAborted();
  preview.srcObject = stream;
  for (const track of stream.getTracks()) track.addEventListener("ended", onLost, { signal });
  await preview.play();
  signal.throwIfAborted();
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

export function closeCamera(preview) {
  if (preview.srcObject) stopTracks(preview.srcObject);
  preview.srcObject = null;
}

// Resolves to a File; rejects with AbortError when `signal` is aborted.
export async function record(stream, guide, progress, signal) {
  for (const word of COUNTDOWN) {
    guide.textContent = word;
    await pause(0.8, signal);
  }
  const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(stream, { ...(type && { mimeType: type }), videoBitsPerSecond: 4_000_000 });
  const parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const stopped = new Promise((resolve, reject) => {
    recorder.addEventListener("stop", resolve);
    recorder.addEventListener("error", () => reject(new Error("recorder")));
  });
  const whole = STEPS.reduce((sum, [, seconds]) => sum + seconds, 0);
  recorder.start();
  progress.hidden = false;
  const started = performance.now();
  const ticking = setInterval(() => { progress.value = (performance.now() - started) / 1000 / whole; }, 100);
  try {
    for (const [words, seconds] of STEPS) {
      guide.textContent = words;
      await pause(seconds, signal);
    }
  } finally {
    clearInterval(ticking);
    progress.hidden = true;
    guide.textContent = "";
    if (recorder.state !== "inactive") recorder.stop();
  }
  await stopped;
  const mime = recorder.mimeType.split(";")[0];
  return new File(parts, `recording.${mime === "video/mp4" ? "mp4" : "webm"}`, { type: mime });
}
