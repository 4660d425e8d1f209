// One item of a reader study: image, then text, errors, class, and the guess of the author. What is typed
// stays in this tab (sessionStorage, by the random id of the item) until it is recorded.
import { bindKeys, showKeys } from "../review/keys.js";
import { Timers } from "../review/timers.js";
import { viewerKeys } from "../viewer-keys.js";
import { mountViewer } from "../viewer.js";
import { askError, marked, showErrors } from "./errors.js";

const ENOUGH = 1; // the half level of the image
const SMALL = window.matchMedia("(max-width: 700px)"); // no diagnostic display: nothing is rated
const article = document.getElementById("reading");
const find = (id) => document.getElementById(id);
const stored = `wetread.reader-study.${article.dataset.item}`;
const state = { rating: "", errors: [], edited: null, image: 0, text: 0, ...JSON.parse(sessionStorage.getItem(stored) || "{}") };
const before = { image: state.image, text: state.text };
const over = new AbortController();
let text = null;
let isSending = false;

const keep = () => sessionStorage.setItem(stored, JSON.stringify(state));
const say = (message) => { find("alert").textContent = message; };

const post = async (name, body) => {
  const answer = await fetch(article.dataset.api + name, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status === 401) location.reload(); // the login page returns here
  const data = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(data.error), { status: answer.status });
  return data;
};

// Runs one request at a time: a second click or key while it runs does nothing.
const once = async (action) => {
  if (isSending) return;
  isSending = true;
  say("");
  try {
    await action();
  } catch (error) {
    if (error.status === 409) { location.reload(); return; }
    say(error.status ? error.message : "The service does not answer. Try again; nothing was lost.");
  } finally {
    isSending = false;
  }
};

const showText = () => once(async () => {
  if (text !== null || SMALL.matches || find("show").disabled) return;
  ({ text } = await post("text", {}));
  let start = 0;
  find("text").replaceChildren(...text.split("\n").map((sentence) => {
    const item = document.createElement("li");
    item.className = "sentence";
    item.tabIndex = -1;
    item.dataset.start = String(start);
    start += sentence.length + 1;
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    item.append(paragraph);
    return item;
  }));
  find("first").hidden = true;
  find("shown").hidden = false;
  if (state.edited !== null) openEditor();
  refresh();
  find("text").firstElementChild?.focus({ preventScroll: true });
});

const refresh = () => {
  for (const each of document.querySelectorAll("[data-rating]")) {
    each.setAttribute("aria-pressed", String(each.dataset.rating === state.rating));
  }
  find("send").disabled = !state.rating;
  showErrors(find("errors"), state.errors, text ?? "", (number) => {
    state.errors.splice(number, 1);
    keep();
    refresh();
  });
};

const choose = (rating) => {
  if (text === null) return;
  state.rating = rating;
  keep();
  refresh();
};

const markError = async () => {
  if (text === null) return;
  const error = await askError(find("error-dialog"), marked(find("text")), text);
  if (!error) return;
  state.errors.push(error);
  keep();
  refresh();
};

const openEditor = () => {
  if (text === null) return;
  find("editor").hidden = false;
  find("edit").setAttribute("aria-expanded", "true");
  if (!find("edited").value) find("edited").value = state.edited ?? text;
  find("edited").focus();
};

const step = (by) => {
  const items = [...find("text").children];
  const at = items.indexOf(document.activeElement?.closest?.("#text > li"));
  items[Math.max(0, Math.min(items.length - 1, at + by))]?.focus();
};

const sendRating = () => once(async () => {
  if (text === null || !state.rating) return;
  const { rating, errors, edited, image, text: read } = state;
  const isEdited = edited !== null && edited !== text;
  await post("rating", { rating, errors, edited: isEdited ? edited : null, image_seconds: image, text_seconds: read });
  askAuthor();
});

const askAuthor = () => {
  const dialog = find("author-dialog");
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  if (!dialog.open) dialog.showModal();
};

const sendAuthor = (author) => once(async () => {
  viewer.destroy(); // the image of an item that is done is no longer served
  await post("author", { author });
  over.abort();
  sessionStorage.removeItem(stored);
  location.reload(); // the same address shows the next item
});

const pause = () => { location.href = find("pause").getAttribute("href"); };

find("viewer").addEventListener("viewer:painted", ({ detail }) => {
  if (detail.level <= ENOUGH) find("show").disabled = false;
});
const viewer = mountViewer(find("viewer"));
find("show").addEventListener("click", showText);
find("mark").addEventListener("click", markError);
find("mark").addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the selection
find("edit").addEventListener("click", openEditor);
find("edited").addEventListener("input", ({ target }) => { state.edited = target.value; keep(); });
find("send").addEventListener("click", sendRating);
for (const each of document.querySelectorAll("[data-rating]")) {
  each.addEventListener("click", () => choose(each.dataset.rating));
}
const authors = [...document.querySelectorAll("[data-author]")];
for (const each of authors) each.addEventListener("click", () => sendAuthor(each.dataset.author));
document.addEventListener("keydown", (event) => {
  const button = find("author-dialog").open ? authors[Number(event.key) - 1] : null;
  if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  sendAuthor(button.dataset.author);
}, { capture: true });

const choice = (value) => ({
  help: find("rating").querySelector(`[data-rating="${value}"] span`).textContent,
  run: () => choose(value),
});
const keys = {
  ...viewerKeys(), // the image has no regions here, and marks would not be recorded
  " ": { help: "show the text", run: showText },
  j: { help: "next sentence", run: () => step(1), repeats: true },
  k: { help: "previous sentence", run: () => step(-1), repeats: true },
  e: { help: "mark an error of the sentence, or of the whole text", run: markError },
  t: { help: "edit the text", run: openEditor },
  a: choice("A"),
  b: choice("B"),
  c: choice("C"),
  d: choice("D"),
  Enter: { help: `record the class; then 1 to ${authors.length}: who wrote the text`, run: sendRating },
  p: { help: "pause", run: pause },
  "?": { help: "this list", run: () => showKeys(find("keys-dialog"), keys) },
};
bindKeys(keys, over.signal);
find("show-keys").addEventListener("click", () => showKeys(find("keys-dialog"), keys));

const timers = new Timers(() => ({ image: text === null, draft: text !== null }), () => {
  const { image, draft } = timers.seconds;
  state.image = Math.round((before.image + image) * 10) / 10;
  state.text = Math.round((before.text + draft) * 10) / 10;
  const whole = Math.floor(state.image + state.text);
  find("clock").textContent = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  if (!over.signal.aborted) keep();
}, over.signal);

if (article.dataset.rated === "true") askAuthor();
