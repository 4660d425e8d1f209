// How long a person looked: not while the page is hidden, nor when nothing was done for a minute.
const IDLE_MS = 60000;
const STEP_MS = 500;
const ACTIVITY = ["pointermove", "pointerdown", "keydown", "wheel", "touchstart"];

export class Timers {
  #ms = { total: 0, image: 0, draft: 0 };
  #active = performance.now();
  #last = performance.now();

  // `looks` returns which of image and draft can be seen; `shown` gets the seconds with the image.
  constructor(looks, shown, signal) {
    const noted = () => { this.#active = performance.now(); };
    for (const name of ACTIVITY) document.addEventListener(name, noted, { signal, passive: true });
    const step = () => {
      const now = performance.now();
      const spent = Math.min(now - this.#last, 2 * STEP_MS); // a sleeping machine does not look
      this.#last = now;
      if (document.hidden || now - this.#active > IDLE_MS) return;
      const seen = looks();
      this.#ms.total += spent;
      if (seen.image) this.#ms.image += spent;
      if (seen.draft) this.#ms.draft += spent;
      shown(this.#ms.image / 1000);
    };
    const timer = setInterval(step, STEP_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  get seconds() {
    const rounded = (ms) => Math.round(ms / 100) / 10;
    return { total: rounded(this.#ms.total), image: rounded(this.#ms.image), draft: rounded(this.#ms.draft) };
  }
}
