// Other persons at the same draft: who has it open, and who stored its text; by the live stream within seconds.
import { follow } from "../live.js";
import { trustedHTML } from "../trusted.js";

/** Call `learn` with what changed: what POST api/jobs/…/open answers with, and times of the site's clock. */
export const followReview = ({ root, job }, learn, signal) => {
  follow(`${root}live/reviews/${job}`, ({ parts }) => {
    const html = parts["review-news"];
    if (!html) return;
    const box = document.createElement("template");
    box.innerHTML = trustedHTML(html);
    learn(JSON.parse(box.content.firstElementChild.dataset.news));
  }, signal);
};

export class Others {
  #opened = null; // id -> since when, of those who were seen to come; null before the first look

  constructor(line, person) {
    this.line = line;
    this.person = person;
  }

  /** Show who else has the draft open; of a person who came while this page was open, since when. */
  show(open) {
    const others = open.filter((each) => each.id !== this.person);
    const isFirst = this.#opened === null;
    const before = this.#opened ?? new Map();
    this.#opened = new Map(others.map(({ id, clock }) => [id, before.get(id) ?? (isFirst ? "" : clock ?? "")]));
    const names = others.map(({ id, name }) => [name, this.#opened.get(id) && `(since ${this.#opened.get(id)})`].filter(Boolean).join(" "));
    const text = names.length ? `Also open: ${names.join(", ")}` : "";
    if (this.line.textContent !== text) this.line.textContent = text;
  }
}
