// The panel in which a radiologist asks the model about the image: question, differential diagnosis, answers.
import { follow } from "../live.js";
import { trustedHTML } from "../trusted.js";
import { Unreachable, newKey, request } from "./api.js";

const ENDED = { ANSWERED: "Unverified AI answer", FAILED: "No answer", CANCELED: "Canceled" };
const OPEN = ["WAITING", "ANSWERING"];

export class Ask {
  #key = null; // of the question that is being sent: a repetition of the request asks once
  #busy = false;

  constructor(article, { signal }) {
    this.root = article.dataset.root;
    this.job = article.dataset.job;
    this.person = article.dataset.person;
    this.panel = article.querySelector("#ask");
    this.form = this.panel.querySelector("form");
    this.text = this.form?.elements.text;
    this.fault = this.panel.querySelector(".fault");
    this.spoken = this.panel.querySelector("#answer-spoken");
    this.openers = [...article.querySelectorAll("#open-question, #open-differential")];
    this.openers[0].addEventListener("click", () => this.open(), { signal });
    this.openers[1].addEventListener("click", () => this.openDifferential(), { signal });
    this.panel.addEventListener("click", (event) => this.#clicked(event), { signal });
    this.panel.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    this.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask("question", this.text.value);
    }, { signal });
    this.text?.addEventListener("input", () => { this.#key = null; }, { signal });
    this.#show();
    follow(`${this.root}live/questions/${this.job}`, (change) => this.#changed(change), signal);
  }

  get #asked() { return this.panel.querySelector("#asked"); }

  /** Open the panel and go to the question. */
  open() {
    this.#reveal();
    (this.text && !this.text.closest("label").hidden ? this.text : this.panel).focus();
  }

  /** Open the panel and go to the button of the differential diagnosis: it is asked by that button only. */
  openDifferential() {
    this.#reveal();
    const button = this.panel.querySelector("#ask-differential");
    (button && !button.hidden ? button : this.panel).focus();
  }

  #reveal() {
    this.#fold(false);
    this.panel.scrollIntoView({ block: "nearest" });
  }

  #fold(hidden) {
    this.panel.hidden = hidden;
    for (const each of this.openers) each.setAttribute("aria-expanded", String(!hidden));
  }

  close() {
    this.#fold(true);
    document.querySelector("#viewer .viewer-stage")?.focus({ preventScroll: true });
  }

  #pressed(event) {
    if (event.isComposing) return;
    if (event.key === "Escape") { event.preventDefault(); this.close(); }
    if (event.key === "Enter" && event.target === this.text && !event.shiftKey) {
      event.preventDefault();
      this.form.requestSubmit();
    }
  }

  #clicked({ target }) {
    if (target.closest("#ask-differential")) this.#ask("differential", "");
    else if (target.closest("#ask-close")) this.close();
    else if (target.closest(".cancel-question")) this.#cancel(target.closest("li").dataset.question);
  }

  async #ask(kind, text) {
    if (this.#busy) return; // a double click asks once
    this.#busy = true;
    this.fault.textContent = "";
    const asked = `${kind} ${text}`;
    if (this.#key?.asked !== asked) this.#key = { asked, value: newKey() };
    try {
      const answer = await request(`${this.root}api/jobs/${this.job}/questions`, {
        method: "POST",
        headers: { "Idempotency-Key": this.#key.value },
        body: { kind, text },
      });
      if (answer.status === 200 || answer.status === 201) {
        this.#key = null;
        if (kind === "question") this.text.value = "";
        this.spoken.textContent = "The question was sent.";
      } else {
        this.fault.textContent = answer.data.error || `The question was not taken (${answer.status}).`;
      }
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.fault.textContent = "The service does not answer. Your question is still here: try again.";
    } finally {
      this.#busy = false;
    }
  }

  async #cancel(id) {
    const answer = await request(`${this.root}api/questions/${id}/cancel`, { method: "POST", body: {} }).catch(() => null);
    if (answer?.status !== 200) this.fault.textContent = answer?.data.error || "The question was not canceled: try again.";
  }

  #changed({ parts }) {
    if (!parts.asked) return;
    const box = document.createElement("template");
    box.innerHTML = trustedHTML(parts.asked);
    const fresh = box.content.firstElementChild;
    if (fresh.dataset.hash === this.#asked.dataset.hash) return;
    const before = new Map([...this.#asked.querySelectorAll("[data-question]")].map((each) => [each.dataset.question, each.dataset.state]));
    const held = document.activeElement?.closest?.(".cancel-question") ? document.activeElement.closest("li").dataset.question : "";
    this.#asked.replaceWith(fresh);
    this.#show();
    if (held) (fresh.querySelector(`[data-question="${held}"] .cancel-question`) ?? this.text ?? this.panel).focus();
    for (const each of fresh.querySelectorAll("[data-question]")) {
      if (OPEN.includes(before.get(each.dataset.question)) && ENDED[each.dataset.state]) this.#speak(each);
    }
  }

  #speak(item) {
    const text = item.querySelector(".answer-text, .asked-state")?.textContent ?? "";
    this.spoken.textContent = `${ENDED[item.dataset.state]}: ${text.trim()}`;
    item.scrollIntoView({ block: "nearest" });
  }

  // Shows why nothing can be asked in place of the field, and the buttons of this person's own questions.
  #show() {
    for (const button of this.panel.querySelectorAll(".cancel-question")) {
      button.hidden = !this.form || button.closest("li").dataset.person !== this.person;
    }
    if (!this.form) return;
    const { whyNot, whyNoDifferential } = this.#asked.dataset;
    for (const [selector, why] of [["label, #ask-question", whyNot], ["#ask-differential", whyNoDifferential]]) {
      for (const each of this.form.querySelectorAll(selector)) each.hidden = Boolean(why);
    }
    const text = [...new Set([whyNot, whyNoDifferential])].filter(Boolean).join(" ");
    const line = this.panel.querySelector("#why-not");
    line.textContent = text;
    line.hidden = !text;
  }
}
