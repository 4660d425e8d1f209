// The worklist: j and k go through the rows, the latest decision can be undone for a minute.
import { bindKeys } from "./keys.js";
import { showUndo } from "./undo.js";

const over = new AbortController();
const links = () => [...document.querySelectorAll("#rows th a")];
const step = (by) => {
  const all = links();
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
};
const undoLatest = showUndo(document.getElementById("undo"), "", (job) => { location.href = `read/${job}`; }, over.signal);

bindKeys({
  j: { run: () => step(1), repeats: true },
  k: { run: () => step(-1), repeats: true },
  u: { run: () => undoLatest?.() },
}, over.signal);
