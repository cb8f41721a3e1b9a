// A clip read as a job: sent, followed to its end; its answer is taken, and the service forgets both.

import { Problem, send } from "./send.js";

const LOST = 3;  // connections in a row that fail before the service counts as gone

// `onSent` gets the share sent, `onProgress` the job as it goes. Rejects as `send` does.
export async function readAsJob(clip, parameters, { signal, onSent, onProgress }) {
  const { id } = await send("jobs", clip, parameters, { signal, onSent });
  const path = `jobs/${id}`;
  const erase = () => { fetch(path, { method: "DELETE", keepalive: true }).catch(() => {}); };
  window.addEventListener("pagehide", erase);
  try {
    await ended(`${path}/events`, signal, onProgress);
    return await answer(`${path}/result`, signal);
  } finally {
    window.removeEventListener("pagehide", erase);
    erase();
  }
}

function ended(path, signal, onProgress) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const events = new EventSource(path);
    const give = (act, value) => {
      events.close();
      signal.removeEventListener("abort", abort);
      act(value);
    };
    const abort = () => give(reject, signal.reason);
    signal.addEventListener("abort", abort);
    let failures = 0;
    events.addEventListener("progress", ({ data }) => {
      failures = 0;
      onProgress(JSON.parse(data));
    });
    events.addEventListener("done", () => give(resolve));
    events.addEventListener("failed", ({ data }) => give(reject, Problem.of(JSON.parse(data).problem)));
    events.addEventListener("gone", () => give(reject, new Problem("job_not_found")));
    events.addEventListener("error", () => {
      failures += 1;
      if (events.readyState === EventSource.CLOSED || failures === LOST) give(reject, new Problem("unreachable"));
    });
  });
}

async function answer(path, signal) {
  const response = await fetch(path, { signal }).catch((error) => {
    throw error.name === "AbortError" ? error : new Problem("unreachable");
  });
  const body = await response.json();
  if (!response.ok) throw Problem.of(body);
  return body;
}
