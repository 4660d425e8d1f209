// The decision: what is missing before it, the dialogs that ask for it, and the request.
import { Unreachable, newKey, request } from "./api.js";
import { isAnswered, isChanged, isRefusedButKept, rowsOf, sentenceOf } from "./sentences.js";
import { rememberDecision } from "./undo.js";

const UNACCEPTABLE = "4";
const TEXTS = { accept: "The draft was accepted.", edit: "The edited report was accepted.", reject: "The draft was rejected." };

export const hasEdits = (article) => rowsOf(article).some(isChanged);

// Returns what must be done before the draft can be accepted: a message, and the row to go to.
export const missing = (article, seen) => {
  const rows = rowsOf(article);
  if (article.dataset.obstacle) return { message: "This draft cannot be accepted: see above." };
  if (!seen.image) return { message: "The image is not shown yet." };
  if (!seen.draft) return { message: "Read the draft first (Space)." };
  const open = rows.filter((row) => row.classList.contains("must") && !isAnswered(row));
  if (open.length) return { message: open.length === 1 ? "One sentence needs your answer." : `${open.length} sentences need your answer.`, row: open[0] };
  const kept = rows.find(isRefusedButKept);
  if (kept) return { message: "You disagree with a sentence: change or remove it, or reject the draft.", row: kept };
  if (!rows.some((row) => sentenceOf(row).text)) return { message: "The report is empty: write a sentence, or reject the draft." };
  return null;
};

const opened = (dialog, focus) => {
  dialog.showModal();
  focus?.focus();
};

export class Decider {
  #key = { about: "", value: "" };
  #busy = false;

  constructor(article, { autosave, timers, seen, alert, decided, signal }) {
    Object.assign(this, { article, autosave, timers, seen, alert, decided });
    this.accepting = article.querySelector("#accept-dialog");
    this.rejecting = article.querySelector("#reject-dialog");
    this.accepting.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    for (const button of this.accepting.querySelectorAll(".choices button")) {
      button.addEventListener("click", () => this.#accept(button.value), { signal });
    }
    this.rejecting.addEventListener("keydown", (event) => this.#reasoned(event), { signal });
    this.rejecting.querySelector("form").addEventListener("submit", (event) => this.#reject(event), { signal });
  }

  accept() {
    const lacks = missing(this.article, this.seen());
    if (lacks) {
      lacks.row?.querySelector(".sentence-text").focus();
      return lacks.message;
    }
    const last = this.accepting.querySelector(`button[value="${UNACCEPTABLE}"]`);
    last.disabled = !hasEdits(this.article);
    opened(this.accepting, this.accepting.querySelector(".choices button"));
    return "";
  }

  reject() {
    this.rejecting.querySelector("form").reset();
    opened(this.rejecting, this.rejecting.querySelector("input[name=rejection]"));
  }

  // A digit chooses a reason; nothing is chosen beforehand, so that no hasty key records a wrong one.
  #reasoned(event) {
    const reason = this.rejecting.querySelectorAll("input[name=rejection]")[Number(event.key) - 1];
    if (!reason || event.target.matches("input[type=text]") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    reason.checked = true;
    reason.focus();
  }

  #pressed(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = this.accepting.querySelector(`.choices button[value="${CSS.escape(event.key)}"]`);
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  }

  #accept(step) {
    this.accepting.close();
    const verdict = hasEdits(this.article) ? "edit" : "accept";
    this.#decide({ verdict, acceptability: Number(step) });
  }

  #reject(event) {
    if (event.submitter?.value !== "reject") return;
    const form = event.target;
    const entered = new FormData(form);
    const fault = form.querySelector(".fault");
    fault.textContent = "";
    if (entered.get("rejection") === "other" && !entered.get("reason").trim()) {
      event.preventDefault();
      fault.textContent = "Describe what was wrong.";
      form.elements.reason.focus();
      return;
    }
    this.#decide({
      verdict: "reject",
      rejection: entered.get("rejection"),
      reason: entered.get("reason"),
      acceptability: entered.has("acceptability") ? Number(entered.get("acceptability")) : null,
    });
  }

  async #decide(asked) {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#send(asked);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.alert("The service does not answer. Your decision may not have been recorded: press again; it is recorded only once.");
    } finally {
      this.#busy = false;
    }
  }

  async #send(asked) {
    if (!(await this.autosave.save())) {
      this.alert("Your text is not stored yet, so that nothing was decided.");
      return;
    }
    const base = { ...asked, base_version: this.autosave.version, amends: this.article.dataset.amends };
    const about = JSON.stringify(base);
    // A repetition sends the same key and body: the decision is recorded once.
    if (this.#key.about !== about) this.#key = { about, value: newKey(), seconds: this.timers.seconds };
    const answer = await request(`${this.article.dataset.root}api/jobs/${this.article.dataset.job}/decisions`, {
      method: "POST",
      headers: { "Idempotency-Key": this.#key.value },
      body: { ...base, seconds: this.#key.seconds },
    });
    if (answer.status === 200 || answer.status === 201) {
      rememberDecision(answer.data, TEXTS[asked.verdict]);
      this.decided(answer.data);
    } else if (answer.status === 412) {
      this.autosave.conflict(answer.data.current);
    } else {
      this.alert(answer.data.error || `The decision was not recorded (${answer.status}).`);
    }
  }
}
