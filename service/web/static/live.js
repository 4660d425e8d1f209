// Follows one live view of the server by the stream that all pages of this browser share (stream.js); a stream
// of its own where there is no SharedWorker, and requests every few seconds where a stream is refused.
import { trustedScript } from "./trusted.js";

const POLL_MS = 3000;
const STREAM_AGAIN_MS = 60000;
const script = () => document.querySelector("script[data-worker]");

const poll = (path, apply, signal) => {
  const ask = async () => {
    if (document.hidden) return;
    const answer = await fetch(`${path}.json`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.ok && !signal.aborted) apply(await answer.json());
  };
  ask();
  const timer = setInterval(ask, POLL_MS);
  const over = () => clearInterval(timer);
  signal.addEventListener("abort", over);
  setTimeout(() => { over(); if (!signal.aborted) follow(path, apply, signal); }, STREAM_AGAIN_MS);
};

const shared = (path, apply, signal) => {
  const { worker, base } = script().dataset;
  const { port } = new SharedWorker(trustedScript(worker), "wetread");
  const leave = () => { port.postMessage({ leave: true }); port.close(); };
  const over = new AbortController();
  port.addEventListener("message", ({ data }) => {
    if (data.change) apply(data.change);
    if (data.ping) port.postMessage({ here: true });
    if (data.mode === "closed") { over.abort(); leave(); poll(path, apply, signal); }
  });
  port.start();
  const watch = () => {
    const view = new URL(path, document.baseURI).href.slice(new URL(base, document.baseURI).href.length);
    port.postMessage({ watch: view });
  };
  watch();
  signal.addEventListener("abort", leave, { signal: over.signal });
  const together = AbortSignal.any([signal, over.signal]);
  window.addEventListener("pagehide", () => port.postMessage({ leave: true }), { signal: together });
  window.addEventListener("pageshow", (event) => { if (event.persisted) watch(); }, { signal: together });
};

const own = (path, apply, signal) => {
  const source = new EventSource(path);
  source.addEventListener("parts", (event) => apply(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    if (!signal.aborted) poll(path, apply, signal);
  });
  signal.addEventListener("abort", () => source.close());
};

/** Call `apply` with each change of a view, a path below `live/`, until `signal` is aborted. */
export const follow = (path, apply, signal) => {
  if (!window.EventSource) poll(path, apply, signal);
  else if (window.SharedWorker && script()) shared(path, apply, signal);
  else own(path, apply, signal);
};
