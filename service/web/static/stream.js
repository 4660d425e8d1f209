// A SharedWorker: one stream of the server for all pages of this browser. HTTP/1.1 gives a browser six
// connections to a host; with a stream for each page the seventh page would never load.
"use strict";
const base = new URL("..", self.location); // this file is static/stream.js
const pages = new Map(); // port -> { view, seen }
const PING_MS = 30000;
const GONE_MS = 100000;
let source = null;
let opened = "";
let waiting = 0;

const tell = (message) => { for (const port of pages.keys()) port.postMessage(message); };
const views = () => [...new Set([...pages.values()].map((page) => page.view))].sort();
const close = () => { if (source) source.close(); source = null; opened = ""; };

const open = () => {
  waiting = 0;
  const asked = views().map((view) => `view=${encodeURIComponent(view)}`).join("&");
  if (asked === opened && source && source.readyState !== EventSource.CLOSED) return;
  close();
  if (!asked) return;
  opened = asked;
  source = new EventSource(new URL(`live?${asked}`, base));
  source.addEventListener("open", () => tell({ mode: "live" }));
  source.addEventListener("parts", (event) => {
    const change = JSON.parse(event.data);
    for (const [port, page] of pages) if (page.view === change.view) port.postMessage({ change });
  });
  source.addEventListener("error", () => {
    tell({ mode: source && source.readyState === EventSource.CLOSED ? "closed" : "away" });
  });
};
// Pages come and go in groups, as with a restored window: one new stream for all of them.
const reopen = ({ anew = false } = {}) => {
  if (anew) opened = "";
  if (!waiting) waiting = setTimeout(open, 50);
};

self.addEventListener("connect", (event) => {
  const port = event.ports[0];
  port.addEventListener("message", ({ data }) => {
    if (data.watch) { pages.set(port, { view: data.watch, seen: Date.now() }); reopen({ anew: true }); }
    if (data.here && pages.has(port)) pages.get(port).seen = Date.now();
    if (data.leave) { pages.delete(port); reopen(); }
  });
  port.start();
});

// A page that crashed says no goodbye.
setInterval(() => {
  for (const [port, page] of pages) if (Date.now() - page.seen > GONE_MS) pages.delete(port);
  tell({ ping: true });
  reopen();
}, PING_MS);
