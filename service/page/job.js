// A clip read as a job: sent, followed to its end; what is wanted of it is taken, and the service forgets it.

import { pause } from "./pause.js";
import { Problem, answerOf, send } from "./send.js";

export const AWAY = ["unreachable", "jobs_unavailable"];  // the job may live on
const LOST = 5;  // times in a row that are tried again, after pauses that double, before the service counts as gone
const PAUSE_S = 1;
const kept = new Set();  // addresses of the jobs that the service keeps for this page

function erase(path) {
  if (kept.delete(path)) fetch(path, { method: "DELETE", keepalive: true }).catch(() => {});
}

// Has every job erased, also those that could not be followed to their end.
export function forget() {
  kept.forEach(erase);
}
window.addEventListener("pagehide", forget);

// Resolves to what `jobs/ID/<wanted>` answers, of media type `type`. `onSent` gets the share sent, `onProgress` the job as
// it goes, or `lost` as its state while the service cannot be reached. Rejects with Problem, or with AbortError when
// `signal` is aborted. A clip sent again with its `key` finds the job that it has, if the service was only away.
export async function readAsJob(clip, parameters, { signal, key, wanted = "result", type, onSent = () => {}, onProgress = () => {} }) {
  const headers = key ? { "Idempotency-Key": key } : {};
  const { id } = await send("jobs", clip, parameters, { signal, headers, onSent });
  const path = `jobs/${id}`;
  kept.add(path);
  try {
    await ended(path, signal, onProgress);
    const answer = await patiently(`${path}/${wanted}`, type, signal, onProgress);
    signal.throwIfAborted();
    erase(path);
    return answer;
  } catch (error) {
    if (!AWAY.includes(error.code)) erase(path);
    throw error;
  }
}

async function ended(path, signal, onProgress) {
  for (;;) {
    const job = await lastHeard(path, signal, onProgress) ?? await patiently(path, undefined, signal, onProgress);
    if (job.state === "done") return;
    if (job.state === "failed") throw Problem.of(job.problem);
    onProgress(job);
    await pause(PAUSE_S, signal);
  }
}

// Resolves to the job that has ended, or to null where its events break off before.
function lastHeard(path, signal, onProgress) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const events = new EventSource(`${path}/events`);
    const give = (act, value) => {
      events.close();
      signal.removeEventListener("abort", abort);
      act(value);
    };
    const abort = () => give(reject, signal.reason);
    signal.addEventListener("abort", abort);
    events.addEventListener("progress", ({ data }) => onProgress(JSON.parse(data)));
    for (const end of ["done", "failed"]) events.addEventListener(end, ({ data }) => give(resolve, JSON.parse(data)));
    for (const loss of ["gone", "error"]) events.addEventListener(loss, () => give(resolve, null));
  });
}

// What `path` answers, asked again while the service is away.
async function patiently(path, type, signal, onProgress) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await got(path, type, signal);
    } catch (error) {
      if (!AWAY.includes(error.code) || failures === LOST) throw error;
    }
    onProgress({ state: "lost" });
    await pause(PAUSE_S * 2 ** failures, signal);
  }
}

async function got(path, type, signal) {
  let response, body;
  try {
    response = await fetch(path, { signal });
    body = await response.blob();
  } catch {
    signal.throwIfAborted();
    throw new Problem("unreachable");
  }
  return answerOf(response.status, body, type);
}
