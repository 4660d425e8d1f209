// Live parts of a page. The server renders; this swaps what changed: Server-Sent Events first, polling
// where a stream is refused. Each part is an element with an id and data-hash; rows also have an order.
import "./menus.js";
import { trustedHTML, trustedScript } from "./trusted.js";

(() => {
  const page = document.querySelector("[data-poll]");
  const light = document.getElementById("live");
  const spoken = document.getElementById("spoken");
  const POLL_MS = 4000;
  let polling = 0;
  let stale = new Map();

  const MODES = { live: "live", polling: "updated every 4 s", away: "not connected, trying again",
    over: "logged out: reload to log in" };
  const mode = (name) => {
    if (light.dataset.mode === name) return;
    light.dataset.mode = name;
    light.textContent = MODES[name];
  };

  // ---- times: the server writes absolute ones, here they become distances that tick
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const distance = (seconds) => {
    for (const [size, unit] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    return "now";
  };
  const tick = () => {
    const now = Date.now();
    for (const element of document.querySelectorAll("time[data-rel]")) {
      if (!element.title) element.title = element.textContent;
      const seconds = (now - Date.parse(element.dateTime)) / 1000;
      const kind = element.dataset.rel;
      let text = distance(Math.abs(seconds));
      if (kind === "ago" && text !== "now") text = seconds < 0 ? `in ${text}` : `${text} ago`;
      if (element.textContent !== text) element.textContent = text;
    }
  };

  // ---- parts
  const element = (html) => {
    const box = document.createElement("template");
    box.innerHTML = trustedHTML(html.trim());
    return box.content.firstElementChild;
  };
  const refocus = (held) => {
    if (!held) return;
    const again = held.id ? document.getElementById(held.id)
      : held.href ? document.querySelector(`[href="${CSS.escape(held.href)}"]`)
        : held.box ? document.querySelector(`input[value="${CSS.escape(held.box)}"]`) : null;
    if (again) again.focus({ preventScroll: true });
  };
  const swap = (id, html) => {
    const old = document.getElementById(id);
    const fresh = element(html);
    if (!old || !fresh) return fresh;
    if (old.dataset.hash === fresh.dataset.hash) return null;
    if (old.querySelector("details[open] form")) { stale.set(id, html); return null; } // a form is being filled in
    const active = document.activeElement;
    const held = old.contains(active) ? { id: active.id, href: active.getAttribute("href"), box: active.value } : null;
    for (const box of old.querySelectorAll("input[type=checkbox]:checked")) {
      const again = fresh.querySelector(`input[value="${CSS.escape(box.value)}"]`);
      if (again) again.checked = true;
    }
    if (fresh.dataset.word && old.dataset.word !== fresh.dataset.word) say(fresh.dataset.word);
    if (fresh.dataset.word) fresh.classList.add("changed");
    for (const { id } of old.querySelectorAll("details[open][id]")) {
      const again = fresh.querySelector(`#${CSS.escape(id)}`);
      if (again) again.open = true;
    }
    old.replaceWith(fresh);
    refocus(held);
    return null;
  };
  const apply = ({ parts, order }) => {
    const added = new Map();
    for (const [id, html] of Object.entries(parts)) {
      const fresh = swap(id, html);
      if (fresh) added.set(id, fresh);
    }
    if (order) arrange(order, added);
    tick();
  };
  const arrange = (order, added) => {
    const body = document.getElementById("rows");
    if (!body) return;
    const wanted = new Set(order);
    for (const row of [...body.children]) if (!wanted.has(row.id)) row.remove();
    let place = body.firstElementChild;
    for (const id of order) {
      const row = added.get(id) || document.getElementById(id);
      if (!row) continue;
      if (added.has(id)) row.classList.add("changed");
      if (row === place) place = place.nextElementSibling;
      else body.insertBefore(row, place);
    }
  };
  document.addEventListener("toggle", (event) => {
    if (event.target.open) return;
    const waiting = stale;
    stale = new Map();
    for (const [id, html] of waiting) swap(id, html);
    tick();
  }, true);

  // ---- what a screen reader announces: a few changes one by one, many as a count
  let changes = [];
  let speaking = 0;
  const say = (change) => {
    changes.push(change);
    if (speaking) return;
    speaking = setTimeout(() => {
      spoken.textContent = changes.length > 3 ? `${changes.length} studies changed` : changes.join("; ");
      changes = [];
      speaking = 0;
    }, 1500);
  };

  // ---- transport
  const poll = async () => {
    try {
      const answer = await fetch(page.dataset.poll, { headers: { Accept: "application/json" } });
      if (answer.status === 401) { mode("over"); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      apply(await answer.json());
      mode("polling");
    } catch {
      mode("away");
    }
  };
  const startPolling = () => {
    if (polling) return;
    poll();
    polling = setInterval(() => { if (!document.hidden) poll(); }, POLL_MS);
    if (!page.dataset.live) return; // the page has no stream
    setTimeout(() => { clearInterval(polling); polling = 0; connect(); }, 60000); // a stream may be free again
  };
  const worker = document.querySelector("script[data-worker]");
  let port = null;
  // All pages of this browser share one stream, by a SharedWorker; where there is none (Android), a page has
  // its own while it is visible.
  const share = () => {
    if (!port) {
      port = new SharedWorker(trustedScript(worker.dataset.worker), "wetread").port;
      port.addEventListener("message", ({ data }) => {
        if (data.change) apply(data.change);
        if (data.mode === "closed") { mode("away"); startPolling(); } else if (data.mode) mode(data.mode);
        if (data.ping) port.postMessage({ here: true });
      });
      port.start();
      window.addEventListener("pagehide", () => port.postMessage({ leave: true }));
      window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
    }
    const view = new URL(page.dataset.live, document.baseURI);
    const base = new URL(worker.dataset.base, document.baseURI);
    port.postMessage({ watch: view.href.slice(base.href.length) });
  };
  const own = () => {
    const source = new EventSource(page.dataset.live);
    source.addEventListener("open", () => mode("live"));
    source.addEventListener("parts", (event) => apply(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      mode("away");
      if (source.readyState === EventSource.CLOSED) startPolling();
    });
    const end = () => { if (document.hidden) { source.close(); document.addEventListener("visibilitychange", own, { once: true }); } };
    document.addEventListener("visibilitychange", end, { once: true });
    window.addEventListener("pagehide", () => source.close(), { once: true });
  };
  const connect = () => {
    if (!window.EventSource || !page.dataset.live) startPolling();
    else if (window.SharedWorker && worker) share();
    else own();
  };

  // ---- an image that cannot be shown: the reason in the place of a broken picture
  const explain = async (image) => {
    const reason = document.createElement("p");
    reason.className = image.closest("figure") ? "none" : "muted";
    try {
      const answer = await fetch(image.src, { headers: { Accept: "application/json" } });
      if (answer.ok) return;
      reason.textContent = (await answer.json()).error;
    } catch {
      return; // the server is away, and the page says so
    }
    (image.closest("a") || image).replaceWith(reason);
  };
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement) explain(event.target);
  }, true);
  for (const image of document.images) if (image.complete && !image.naturalWidth) explain(image);

  tick();
  setInterval(tick, 1000);
  if (page) connect();
})();
