// The page on which a radiologist reads a study: image first, the draft on demand, a decision by keys.
import { trustedHTML } from "../trusted.js";
import { viewerKeys } from "../viewer-keys.js";
import { prefetch as prefetchImage } from "../viewer.js";
import { request } from "./api.js";
import { Ask } from "./ask.js";
import { Autosave } from "./autosave.js";
import { Decider, hasEdits, missing } from "./decide.js";
import { Images } from "./images.js";
import { Heat } from "./heat.js";
import { bindKeys, showKeys } from "./keys.js";
import { Others, followReview } from "./others.js";
import { linkRegions } from "./regions.js";
import { addFinding, addRow, closeEditor, openEditor, rowsOf, show, showVerdict } from "./sentences.js";
import { Timers } from "./timers.js";
import { latestDecision, showUndo, undo } from "./undo.js";

const OPEN_MS = 10000; // between two requests that say that the draft is open
const FRESH_MS = 30000; // a prefetched page that is older is loaded again
const PREFETCH_MS = 700;
const SMALL = window.matchMedia("(max-width: 700px)"); // no diagnostic display: decisions are off

let stop = () => {};
let prefetched = { id: "", at: 0, page: null };

const load = async (id) => {
  const answer = await fetch(id, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(trustedHTML(await answer.text()), "text/html");
  // A parser without scripts makes elements of what is for browsers without: their images would be fetched.
  for (const each of page.querySelectorAll("noscript")) each.remove();
  return page;
};

// Loads the next study while this one is read: its page, and its image into this page's memory.
const prefetch = async (id) => {
  if (!id || prefetched.id === id) return;
  const page = load(id);
  prefetched = { id, at: Date.now(), page };
  try {
    const base = (await page).querySelector("#viewer")?.dataset.base;
    if (base) await prefetchImage(base);
  } catch {
    prefetched = { id: "", at: 0, page: null };
  }
};

const go = async (id, { push = true } = {}) => {
  if (!id) { location.href = "../read"; return; }
  try {
    const isFresh = prefetched.id === id && Date.now() - prefetched.at < FRESH_MS;
    const page = await (isFresh ? prefetched.page : load(id));
    stop();
    document.title = page.title;
    document.getElementById("main").replaceChildren(...page.getElementById("main").childNodes);
    if (push) history.pushState(null, "", id);
    window.scrollTo(0, 0);
    start();
    document.getElementById("spoken").textContent = page.title;
  } catch {
    location.href = id;
  }
};

const start = () => {
  const article = document.getElementById("study");
  if (!article) return;
  const over = new AbortController();
  const { signal } = over;
  const { root, job } = article.dataset;
  const edits = article.dataset.edits === "true";
  const find = (id) => article.querySelector(`#${id}`);
  const draft = find("draft");
  let controls = {};
  const seen = { draft: Boolean(draft?.open) };
  const seenNow = () => ({ image: images.isShown, draft: seen.draft });

  const alert = (text) => {
    const line = Object.assign(document.createElement("p"), { className: "alarm", textContent: text });
    find("alert").replaceChildren(line);
  };
  const images = new Images(article, {
    changed: () => update(),
    marked: (mark) => controls.marked?.(mark),
    signal,
  });
  const clock = find("clock");
  const timers = new Timers(
    () => ({ image: images.isShown, draft: Boolean(draft?.open) }),
    (seconds) => {
      if (clock) clock.textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
    },
    signal,
  );
  linkRegions(article, signal);

  // ---- the draft
  draft?.addEventListener("toggle", () => { seen.draft ||= draft.open; update(); }, { signal });
  const current = () => rowsOf(article).find((row) => row.classList.contains("current"));
  article.addEventListener("focusin", (event) => {
    const row = event.target.closest(".sentence");
    for (const each of rowsOf(article)) each.classList.toggle("current", each === row);
  }, { signal });
  const toNext = (row = current()) => {
    const rows = rowsOf(article);
    const next = rows[(rows.indexOf(row) + 1) % rows.length];
    next?.querySelector(".sentence-text").focus();
  };
  const space = () => {
    if (!draft) return;
    if (draft.open) toNext();
    else { draft.open = true; seen.draft = true; update(); toNext(); }
  };
  const update = () => {
    if (!edits) return;
    const lacks = missing(article, seenNow());
    find("missing").textContent = lacks?.message ?? "";
    find("accept").setAttribute("aria-disabled", String(Boolean(lacks)));
    if (!article.dataset.amends) find("accept-label").textContent = hasEdits(article) ? "Accept the edited report" : "Accept";
  };

  controls = edits ? startEditing({ article, images, find, signal, timers, seenNow, alert, update, current, toNext }) : {};

  // ---- other people, and what changed meanwhile
  const others = new Others(find("others"), article.dataset.person);
  const learn = (news) => {
    if (signal.aborted) return;
    others.show(news.open);
    if (news.obstacle && news.obstacle.sentence !== article.dataset.obstacle) {
      article.dataset.obstacle = news.obstacle.sentence;
      alert(`This draft cannot be accepted. ${news.obstacle.sentence}`);
      update();
    }
    controls.news?.(news);
  };
  followReview(article.dataset, learn, signal);
  const watch = async () => {
    const answer = await request(`${root}api/jobs/${job}/open`, { method: "POST", body: {}, quiet: true }).catch(() => null);
    if (answer?.status === 200) learn(answer.data);
  };
  if (document.querySelector("#decision, #amend, #undo-here")) {
    watch();
    const timer = setInterval(() => { if (!document.hidden) watch(); }, OPEN_MS);
    const close = () => request(`${root}api/jobs/${job}/open`, { method: "POST", body: { open: false }, quiet: true, keepalive: true }).catch(() => {});
    signal.addEventListener("abort", () => { clearInterval(timer); close(); });
    window.addEventListener("pagehide", close, { signal });
  }

  const heat = new Heat(article, images, { signal, current: () => current() });

  // ---- questions about the image
  const ask = new Ask(article, { signal });

  // ---- undo
  const undone = (id) => { prefetched = { id: "", at: 0, page: null }; location.href = id; };
  const undoLatest = showUndo(find("undo"), root, undone, signal);
  const here = find("undo-here");
  const canUndo = () => here && latestDecision()?.job !== job && Date.now() < Date.parse(article.dataset.undoUntil);
  const undoHere = async () => {
    const fault = await undo(root, article.dataset.decision);
    if (!fault) { undone(job); return; }
    here.hidden = true; // the page offers the amendment
    alert(fault);
  };
  if (here) here.hidden = !canUndo();
  here?.addEventListener("click", undoHere, { signal });

  // ---- keys
  const { before, after } = article.dataset;
  const leave = async (id) => { if (id && (await controls.leave?.() ?? true)) go(id); };
  for (const [rel, id] of [["prev", before], ["next", after]]) {
    article.querySelector(`a[rel=${rel}]`)?.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      leave(id);
    }, { signal });
  }
  const keys = {
    ...viewerKeys("regions", ...(edits ? ["marks"] : [])),
    " ": { help: "show the draft; then go to the next sentence", run: space },
    ...(controls.keys ?? {}),
    j: { help: "next study", run: () => leave(after) },
    k: { help: "previous study", run: () => leave(before) },
    h: { help: "heat map of a finding on or off", run: () => heat.toggle() },
    q: { help: "ask the model a question about the image", run: () => ask.open() },
    d: { help: "ask for a differential diagnosis; Enter sends it", run: () => ask.openDifferential() },
    l: { help: "lateral or earlier image beside it, the next one, none", run: () => images.next() },
    u: { help: "undo the latest decision, within a minute", run: () => (undoLatest ? undoLatest() : canUndo() && undoHere()) },
    "?": { help: "this list", run: () => showKeys(find("keys-dialog"), keys) },
  };
  bindKeys(keys, signal);
  find("show-keys")?.addEventListener("click", () => showKeys(find("keys-dialog"), keys), { signal });

  update();
  const later = setTimeout(() => prefetch(after), PREFETCH_MS);
  stop = () => { clearTimeout(later); over.abort(); };
};

// The part of the page for those who decide; returns its keys and what the rest of the page calls.
const startEditing = ({ article, images, find, signal, timers, seenNow, alert, update, current, toNext }) => {
  const saved = find("saved");
  const autosave = new Autosave(article, { say: (text) => { saved.textContent = text; }, changed: update, signal });
  const decider = new Decider(article, {
    autosave, timers, signal, alert,
    seen: seenNow,
    decided: () => go(article.dataset.after),
  });
  const changed = () => { autosave.note(); update(); };
  const accept = () => {
    if (SMALL.matches) return;
    const message = decider.accept();
    if (message) find("missing").textContent = message;
  };
  const reject = () => { if (!SMALL.matches) decider.reject(); };

  const answer = (row, value, { advance = false } = {}) => {
    if (!row || !row.dataset.draft || SMALL.matches) return;
    row.dataset.answer = row.dataset.answer === value && !advance ? "" : value;
    show(row);
    changed();
    if (advance && value === "agree") toNext(row);
  };
  const edit = (row) => { if (row && !SMALL.matches) openEditor(row); };
  const remove = (row) => {
    if (!row.dataset.draft) row.remove();
    else { row.classList.toggle("removed"); show(row); }
    changed();
  };
  const add = (section) => {
    const ids = rowsOf(article).map((row) => row.dataset.id);
    let number = 1;
    while (ids.includes(`n${number}`)) number += 1;
    const row = addRow(article, section, `n${number}`);
    openEditor(row);
  };
  const judge = (row, verdict) => {
    row.dataset.verdict = row.dataset.verdict === verdict ? "" : verdict;
    showVerdict(row);
    changed();
  };
  const ACTIONS = {
    "mark-agree": (button) => answer(button.closest(".sentence"), "agree"),
    "mark-disagree": (button) => answer(button.closest(".sentence"), "disagree"),
    "mark-edit": (button) => edit(button.closest(".sentence")),
    "mark-remove": (button) => remove(button.closest(".sentence")),
    "finding-agree": (button) => judge(button.closest("tr"), "agree"),
    "finding-disagree": (button) => judge(button.closest("tr"), "disagree"),
    "unadd": (button) => { button.closest("li").remove(); changed(); },
    "add": (button) => add(button.dataset.section),
  };
  article.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const name = button && Object.keys(ACTIONS).find((each) => button.classList.contains(each));
    if (name) ACTIONS[name](button);
  }, { signal });
  article.addEventListener("dblclick", (event) => edit(event.target.closest(".sentence-text")?.closest(".sentence")), { signal });
  article.addEventListener("input", (event) => { if (event.target.matches(".sentence textarea")) changed(); }, { signal });
  article.addEventListener("focusout", (event) => {
    if (event.target.matches(".sentence textarea") && document.hasFocus()) closeEditor(event.target.closest(".sentence"));
  }, { signal });
  article.addEventListener("keydown", (event) => {
    if (!event.target.matches(".sentence textarea") || event.isComposing) return;
    const row = event.target.closest(".sentence");
    if (event.key === "Escape") { event.preventDefault(); closeEditor(row, { focus: true }); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); closeEditor(row, { focus: true }); accept(); }
    else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); closeEditor(row, { focus: true }); }
  }, { signal });
  for (const row of rowsOf(article)) show(row);

  const dialog = find("finding-dialog");
  let mark = null;
  const drop = () => { if (mark) images.viewer?.removeMark(mark.id); mark = null; };
  const marked = (drawn) => { drop(); mark = drawn; dialog.showModal(); };
  find("add-finding")?.addEventListener("click", () => dialog.showModal(), { signal });
  dialog.addEventListener("close", drop, { signal });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    if (event.submitter?.value !== "add") return;
    const entered = Object.fromEntries(new FormData(event.target));
    if (!entered.observation && !entered.text.trim()) {
      event.preventDefault();
      dialog.querySelector(".fault").textContent = "Choose a finding, or describe it.";
      return;
    }
    addFinding(article, { verdict: "add", observation: entered.observation || null, side: entered.side || null, text: entered.text.trim(), region: mark?.points ?? null });
    mark = null;
    event.target.reset();
    changed();
  }, { signal });
  find("accept").addEventListener("click", accept, { signal });
  find("reject")?.addEventListener("click", reject, { signal });

  let said = "";
  const tell = (text) => { if (text !== said) alert(text); said = text; };
  const news = ({ version, by, stored, decision }) => {
    if (decision && !article.dataset.amends) {
      tell(`${decision.by} has decided on this draft. Reload the page to see the decision.`);
    } else if (version > autosave.version && by && by.id !== article.dataset.person && autosave.isStored && stored) {
      tell(`${by.name} changed the text of this draft at ${stored} (version ${version}). Reload the page to see it.`);
    }
  };
  const keys = {
    y: { help: "agree with the sentence, go to the next", run: () => answer(current() ?? rowsOf(article)[0], "agree", { advance: true }) },
    n: { help: "disagree with the sentence", run: () => answer(current(), "disagree", { advance: true }) },
    e: { help: "edit the sentence", run: () => edit(current()) },
    a: { help: "accept; then 1 to 4: how acceptable the draft was", run: accept },
    ...(article.dataset.amends ? {} : { r: { help: "reject", run: reject } }),
    "Ctrl+Enter": { help: "in the editor: store and accept", run: () => {} },
    Esc: { help: "in the editor: leave it", run: () => {} },
  };
  return { keys, news, marked, leave: () => autosave.save() };
};

window.addEventListener("popstate", () => go(location.pathname.split("/").pop(), { push: false }));
start();
