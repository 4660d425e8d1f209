// Single keys of a page: not while a person types or composes, and only while they are switched on
// (WCAG 2.1.4). A key is `{ help, run, single, hold }`; `hold` runs when the key is released.
const STORED = "wetread.keys";
const TYPING = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
const PRESSED = "button, summary, a[href], input";

export const areOn = () => localStorage.getItem(STORED) !== "off";
const tellViewer = () => { document.documentElement.dataset.singleKeys = areOn() ? "on" : "off"; };
const switchKeys = (on) => {
  localStorage.setItem(STORED, on ? "on" : "off");
  tellViewer();
};

const isTaken = (event) => {
  if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return true;
  if (event.ctrlKey || event.metaKey || event.altKey || event.getModifierState("AltGraph")) return true;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest(TYPING) || document.querySelector("dialog[open]")) return true;
  return [" ", "Enter"].includes(event.key) && target.closest(PRESSED) !== null;
};

export const bindKeys = (table, signal) => {
  tellViewer();
  document.addEventListener("keydown", (event) => {
    const key = table[event.key];
    if (!key?.run || isTaken(event) || !areOn()) return;
    event.preventDefault();
    if (!event.repeat || key.repeats) key.run(event);
  }, { signal });
  document.addEventListener("keyup", (event) => table[event.key]?.hold?.(event), { signal });
};

export const showKeys = (dialog, table) => {
  const list = dialog.querySelector("#keys-list");
  list.replaceChildren();
  for (const [key, { help }] of Object.entries(table)) {
    if (!help) continue;
    const term = document.createElement("dt");
    const shown = document.createElement("kbd");
    shown.textContent = key === " " ? "Space" : key;
    term.append(shown);
    const meaning = document.createElement("dd");
    meaning.textContent = help;
    list.append(term, meaning);
  }
  const single = dialog.querySelector("#single-keys");
  single.checked = areOn();
  single.onchange = () => switchKeys(single.checked);
  dialog.showModal();
};
