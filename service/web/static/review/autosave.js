// Stores the report while it is edited. What the service has not acknowledged is kept in this tab.
import { Unreachable, request } from "./api.js";
import { applyContent, contentOf } from "./sentences.js";

const PAUSE_MS = 800;
const RETRY_MS = 3000;
const LONGEST_KEPT_ALIVE = 60000; // characters: browsers limit the body of a request that outlives its page

const same = (one, other) => JSON.stringify(normal(one)) === JSON.stringify(normal(other));
const normal = ({ sentences, findings }) => ({
  sentences: sentences.filter(({ text, answer }) => text || answer).map(({ id, section, text, answer }) => [id, section, text, answer]),
  findings: findings.map(({ verdict, id, observation, side, text }) => [verdict, id || "", observation || "", side || "", text || ""]),
});

export class Autosave {
  #timer = 0;
  #dirty = false;
  #saving = null;
  #conflict = null;

  // `say` shows the state; `changed` is called when the report was replaced.
  constructor(article, { say, changed, signal }) {
    this.article = article;
    this.say = say;
    this.changed = changed;
    this.version = Number(article.dataset.version);
    this.path = `${article.dataset.root}api/jobs/${article.dataset.job}/review`;
    this.kept = `wetread.review.${article.dataset.person}.${article.dataset.job}`;
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    window.addEventListener("pagehide", () => this.#lastly(), { signal });
    this.#restore();
  }

  get isStored() {
    return !this.#dirty && !this.#saving && !this.#conflict;
  }

  note() {
    this.#dirty = true;
    const kept = { version: this.version, content: contentOf(this.article) };
    sessionStorage.setItem(this.kept, JSON.stringify(kept));
    this.say("Not stored yet");
    this.#later(PAUSE_MS);
  }

  // Stores what is not stored yet; resolves with whether everything is.
  save() {
    clearTimeout(this.#timer);
    this.#saving ??= this.#store().finally(() => { this.#saving = null; });
    return this.#saving;
  }

  // Shows both texts; nothing is stored until the person has chosen one.
  conflict(current) {
    const mine = contentOf(this.article);
    if (!current || same(current.content, mine)) {
      this.version = current?.version ?? 0;
      this.#forget();
      return;
    }
    this.#conflict = current;
    this.say("Not stored: another text was stored meanwhile");
    this.#showConflict(current, mine);
  }

  #restore() {
    const kept = JSON.parse(sessionStorage.getItem(this.kept) || "null");
    if (!kept) return;
    applyContent(this.article, kept.content);
    this.version = kept.version;
    this.#dirty = true;
    this.say("Restored in this tab, not stored yet");
    this.#later(0);
  }

  #later(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), ms);
  }

  async #store() {
    while (this.#dirty && !this.#conflict) {
      this.#dirty = false;
      const fault = await this.#put(contentOf(this.article));
      if (!fault) continue;
      this.#dirty = true;
      this.say(fault);
      return false;
    }
    return !this.#conflict;
  }

  async #put(content) {
    let answer;
    try {
      const headers = { "If-Match": `"${this.version}"` };
      answer = await request(this.path, { method: "PUT", headers, body: content });
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.#later(RETRY_MS);
      return "The service does not answer: your text is kept in this tab";
    }
    if (answer.status === 200) {
      this.version = answer.data.version;
      this.#forget();
      return "";
    }
    if (answer.status === 412) {
      this.conflict(answer.data.current);
      return "";
    }
    if (answer.status >= 500) this.#later(RETRY_MS);
    if (answer.status === 401) return "Not stored: you are not logged in. Your text is kept in this tab";
    return `Not stored: ${answer.data.error || answer.status}`;
  }

  #forget() {
    if (this.#dirty) return;
    sessionStorage.removeItem(this.kept);
    this.say("Stored");
  }

  #lastly() {
    if (!this.#dirty || this.#conflict) return;
    const body = contentOf(this.article);
    if (JSON.stringify(body).length > LONGEST_KEPT_ALIVE) return; // kept in this tab
    const headers = { "If-Match": `"${this.version}"` };
    request(this.path, { method: "PUT", headers, body, quiet: true, keepalive: true }).catch(() => {});
  }

  #showConflict(current, mine) {
    const dialog = document.getElementById("conflict-dialog");
    dialog.querySelector("#conflict-who").textContent =
      `${current.by} stored version ${current.version} while you edited. Nothing is merged: choose which text stays.`;
    dialog.querySelector("#conflict-theirs-title").textContent = `The text of ${current.by}`;
    fill(dialog.querySelector("#conflict-theirs"), current.content, mine);
    fill(dialog.querySelector("#conflict-mine"), mine, current.content);
    const end = (keep) => {
      this.version = current.version;
      this.#conflict = null;
      dialog.close();
      this.#dirty = keep;
      if (!keep) {
        applyContent(this.article, current.content);
        this.#forget();
        this.changed();
      } else {
        this.note();
        this.save();
      }
    };
    dialog.querySelector("#keep-mine").onclick = () => end(true);
    dialog.querySelector("#take-theirs").onclick = () => end(false);
    dialog.oncancel = (event) => event.preventDefault();
    if (!dialog.open) dialog.showModal();
  }
}

const fill = (list, content, other) => {
  const others = new Map(other.sentences.map((each) => [each.id, each.text]));
  list.replaceChildren(...content.sentences.filter(({ text }) => text).map(({ id, text, answer }) => {
    const item = document.createElement("li");
    item.append(others.get(id) === text ? text : Object.assign(document.createElement("mark"), { textContent: text }));
    if (answer) item.append(` (${answer === "agree" ? "agreed" : "disagreed"})`);
    return item;
  }));
};
