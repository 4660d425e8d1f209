// The minute in which the latest decision can be undone, also on the next page.
import { request } from "./api.js";

const STORED = "wetread.decided";

export const rememberDecision = (decision, text) => {
  const lasts = Date.parse(decision.undo_until) - Date.parse(decision.at);
  const amends = decision.verdict !== "reject"; // a rejection has no report
  const kept = { id: decision.id, job: decision.job_id, until: Date.now() + lasts, text, amends };
  sessionStorage.setItem(STORED, JSON.stringify(kept));
};

export const latestDecision = () => {
  const kept = JSON.parse(sessionStorage.getItem(STORED) || "null");
  if (kept && kept.until > Date.now()) return kept;
  sessionStorage.removeItem(STORED);
  return null;
};

// Resolves with the reason for a refusal, "" for none.
export const undo = async (root, id) => {
  const answer = await request(`${root}api/decisions/${id}/undo`, { method: "POST", body: {} });
  sessionStorage.removeItem(STORED);
  return answer.status === 200 ? "" : answer.data.error || "The decision could not be undone.";
};

const amendment = (root, job) => {
  const link = document.createElement("a");
  link.className = "button";
  link.href = `${root}read/${job}?amend`;
  link.textContent = "Amend the report";
  return link;
};

// Shows the text and a button in `box` while the decision can be undone; `undone` gets its job.
export const showUndo = (box, root, undone, signal) => {
  const kept = latestDecision();
  if (!box || !kept) return null;
  const line = document.createElement("span");
  const left = document.createElement("span");
  const button = document.createElement("button");
  left.setAttribute("aria-hidden", "true");
  line.textContent = kept.text;
  button.type = "button";
  button.textContent = "Undo ";
  button.append(Object.assign(document.createElement("kbd"), { textContent: "u" }));
  box.replaceChildren(line, " ", left, " ", button);
  box.hidden = false;
  let isRefused = false;
  const run = async () => {
    const fault = await undo(root, kept.id);
    if (!fault) { undone(kept.job); return; }
    isRefused = true;
    box.replaceChildren(fault, ...(kept.amends ? [" ", amendment(root, kept.job)] : []));
    box.hidden = false;
  };
  const tick = () => {
    const seconds = Math.ceil((kept.until - Date.now()) / 1000);
    if (isRefused) { clearInterval(timer); return; }
    if (seconds <= 0) { box.hidden = true; clearInterval(timer); return; }
    left.textContent = `It can be undone for ${seconds} s.`;
  };
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  button.addEventListener("click", run, { signal });
  tick();
  return () => { if (!box.hidden && !isRefused) run(); };
};
