// The heat map of a finding over the image: by the finding's button, or by a key; a legend says what it is.
const legendOf = (finding) =>
  `Where the model's score for ${finding} comes from: stronger color, larger share. Not a segmentation, and no ` +
  "proof that the finding is there.";

export class Heat {
  #shown = "";

  // `current` returns the sentence with the focus, whose finding is shown first.
  constructor(article, images, { signal, current }) {
    this.images = images;
    this.current = current;
    this.legend = article.querySelector("#heat-legend");
    this.buttons = [...article.querySelectorAll(".show-heat")];
    article.addEventListener("click", ({ target }) => {
      const button = target.closest(".show-heat");
      if (button) this.#turn(button);
    }, { signal });
    images.main.addEventListener("viewer:heat", ({ detail }) => this.#describe(detail.on), { signal });
  }

  /** Show the heat map of a finding, or hide the one that is shown. */
  toggle() {
    const stated = (this.current()?.dataset.findings ?? "").split(" ");
    const button = this.buttons.find((each) => each.dataset.of === this.#shown)
      ?? this.buttons.find((each) => stated.includes(each.dataset.of)) ?? this.buttons[0];
    if (button) this.#turn(button);
    else this.legend.textContent = this.legend.textContent ? "" : this.legend.dataset.none;
  }

  #turn(button) {
    const { viewer } = this.images;
    if (!viewer?.image) return;
    const { heat, box, of } = button.dataset;
    const hides = of === this.#shown && viewer.overlay.shows("heat");
    if (of !== this.#shown) {
      const [left, top, size] = JSON.parse(box);
      viewer.setHeat(heat, [left, top, size, size]);
      this.#shown = of;
    }
    viewer.showHeat(!hides);
  }

  #describe(on) {
    const button = this.buttons.find((each) => each.dataset.of === this.#shown);
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(on && each === button));
    this.legend.classList.toggle("with-scale", on);
    this.legend.textContent = on && button ? legendOf(button.dataset.subject) : "";
  }
}
