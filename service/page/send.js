// One request with a clip. XMLHttpRequest, since fetch cannot tell how much of it has been sent.

export class Problem extends Error {
  constructor(code, detail = "", requestId = "") {
    super(detail || code);
    Object.assign(this, { code, detail, requestId });
  }

  static of({ code, detail, request_id }) {
    return new Problem(code, detail, request_id);
  }
}

// `onSent` gets the share sent, 0-1. Rejects with Problem, or with AbortError when `signal` is aborted.
export function send(path, clip, parameters, { signal, onSent = () => {}, as = "json" }) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(parameters)) form.append(name, value);
    form.append("video", clip, clip.name);
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", path);
    request.responseType = "blob";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onSent(event.loaded / event.total));
    request.upload.addEventListener("load", () => onSent(1));
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    request.addEventListener("error", () => reject(new Problem("unreachable")));
    request.addEventListener("load", async () => {
      if (request.status < 300) return resolve(as === "blob" ? request.response : JSON.parse(await request.response.text()));
      try {
        reject(Problem.of(JSON.parse(await request.response.text())));
      } catch {
        reject(new Problem(request.status === 413 ? "upload_too_large" : "unreachable"));  // answered by something in between
      }
    });
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort, { once: true });
    request.send(form);
  });
}
