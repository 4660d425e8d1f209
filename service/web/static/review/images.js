// The images of the page: the one that was read, and beside it another one of the study or an earlier one.
import { mountViewer, viewerOf } from "../viewer.js";
import { logIn } from "./login.js";

const UNAUTHORIZED = 401;
const ENOUGH = 1; // the half level: from here on a decision may be taken

const mounted = (element, options) => {
  viewerOf(element)?.destroy();
  return mountViewer(element, options);
};

export class Images {
  isShown = false;
  #at = -1;

  // `changed` is called when the image can be judged, `marked` with a region that a person drew.
  constructor(article, { changed, marked, signal }) {
    this.beside = article.querySelector("#beside");
    this.others = [...article.querySelectorAll(".thumbnail")];
    this.main = article.querySelector("#viewer");
    this.main.addEventListener("viewer:painted", ({ detail }) => {
      if (detail.level > ENOUGH || this.isShown) return;
      this.isShown = true;
      changed();
    }, { signal });
    this.main.addEventListener("viewer:mark", ({ detail }) => marked(detail), { signal });
    article.addEventListener("viewer:failed", async ({ target, detail }) => {
      if (detail.status === UNAUTHORIZED && (await logIn())) viewerOf(target)?.load();
    }, { signal });
    this.others.forEach((button, number) => {
      button.addEventListener("click", () => this.show(this.#at === number ? -1 : number), { signal });
    });
    this.viewer = this.main.dataset.base ? mounted(this.main) : null;
    signal.addEventListener("abort", () => {
      for (const each of [this.main, this.beside]) viewerOf(each)?.destroy();
    });
  }

  // Shows one of the other images beside the one that was read; -1 shows none.
  show(number) {
    this.#at = number;
    this.others.forEach((each, at) => each.setAttribute("aria-pressed", String(at === number)));
    this.beside.hidden = number < 0;
    if (number < 0) { viewerOf(this.beside)?.destroy(); return; }
    const { base, label } = this.others[number].dataset;
    mounted(this.beside, { base, label, eager: false, marks: "none" }); // a region is one of the image that was read
  }

  next() {
    if (this.others.length) this.show(this.#at + 1 < this.others.length ? this.#at + 1 : -1);
  }
}
