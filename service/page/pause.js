// Resolves after `seconds`; rejects with AbortError when `signal` is aborted.
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    setTimeout(() => { signal.removeEventListener("abort", abort); resolve(); }, seconds * 1000);
  });
}
