// One request with a clip, and what comes back. XMLHttpRequest, since fetch cannot tell how much of it has been sent.

export class Problem extends Error {
  constructor(code, detail = "", requestId = "") {
    super(detail || code);
    Object.assign(this, { code, detail, requestId });
  }

  static of({ code, detail, request_id }) {
    return new Problem(code, detail, request_id);
  }
}

// `body`: a Blob. Parsed where `type` is JSON. Throws Problem; whatever the service does not answer is of something in between.
export async function answerOf(status, body, type = "application/json") {
  const expected = status < 300 ? type : "application/problem+json";
  const ours = body.type.startsWith(expected);
  if (ours && !expected.endsWith("json")) return body;
  const told = ours ? await body.text().then(JSON.parse).catch(() => null) : null;
  if (told && status < 300) return told;
  throw told ? Problem.of(told) : new Problem(status === 413 ? "upload_too_large" : "unreachable");
}

// Posts `clip` and resolves to the JSON of the answer. `onSent` gets the share sent, 0-1. Rejects with Problem, or with
// AbortError when `signal` is aborted while the clip is sent; once it is there, the answer is waited for.
export function send(path, clip, parameters, { signal, headers, onSent }) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(parameters)) form.append(name, value);
    form.append("video", clip, clip.name);
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.responseType = "blob";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onSent(event.loaded / event.total));
    request.upload.addEventListener("load", () => {
      signal.removeEventListener("abort", abort);
      onSent(1);
    });
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    request.addEventListener("error", () => clip.slice(0, 1).arrayBuffer().then(
      () => reject(new Problem("unreachable")),
      () => reject(new Problem("unreadable_file")),
    ));
    request.addEventListener("load", () => answerOf(request.status, request.response).then(resolve, reject));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort);
    request.send(form);
  });
}
