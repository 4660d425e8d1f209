// The search for studies: j and k go through the results, / goes to the box.
import { bindKeys } from "./review/keys.js";

const over = new AbortController();
const links = () => [...document.querySelectorAll(".found th a")];
const step = (by) => {
  const all = links();
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
};

bindKeys({
  j: { run: () => step(1), repeats: true },
  k: { run: () => step(-1), repeats: true },
  "/": { run: () => document.getElementById("words").select() },
}, over.signal);
