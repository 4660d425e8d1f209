// An image in an element: its loading, painting and gray levels. `viewer.js` adds tools and keys.

import { ImageError, imageAt } from "./viewer-levels.js";
import { Overlay } from "./viewer-overlay.js";
import { CanvasPainter, levelFor, makePainter, wantedLevel } from "./viewer-paint.js";
import { VALUES, asWindow, fillTable, rangeOf } from "./viewer-table.js";
import { UPRIGHT, cornerOf, isUpright, matrixOf, wordsOf } from "./viewer-turn.js";
import { View } from "./viewer-view.js";

const LOST_MS = 2000; // until a lost WebGL context is replaced by canvas 2D

/** Append an element of a class to another, and return it. */
export const make = (name, className, parent) => {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
};

/** Resolve when the style sheet is in force: without it the stage has no size. */
const styled = (() => {
  const address = new URL("viewer.css", import.meta.url).href;
  let link = [...document.querySelectorAll("link[rel=stylesheet]")].find((each) => each.href === address);
  if (link?.sheet) return Promise.resolve();
  if (!link) {
    link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = address;
    document.head.append(link);
  }
  return new Promise((done) => { link.onload = link.onerror = done; });
})();

export class Picture extends View {
  #asked = 0;
  #painted = new Set();
  #loading = 0;

  constructor(element, options) {
    super();
    this.element = element;
    this.options = { ...element.dataset, ...options };
    this.levels = [];
    this.table = new Uint8Array(VALUES);
    this.#build();
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.stage);
    this.#followPixelRatio();
  }

  #build() {
    const { element } = this;
    element.replaceChildren();
    element.classList.add("viewer");
    this.stage = make("div", "viewer-stage", element);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-roledescription", "radiograph");
    this.plane = make("div", "viewer-plane", this.stage);
    this.canvas = make("canvas", "viewer-canvas", this.plane);
    this.overlay = new Overlay(this.plane, this.stage);
    this.overlay.setRegions(this.#givenRegions());
    this.status = make("p", "viewer-status", this.stage);
    this.message = make("p", "viewer-loading", this.stage);
    this.message.setAttribute("role", "status");
    this.warnings = make("ul", "viewer-warnings", element);
    this.warnings.setAttribute("aria-label", "About the display of this image");
    if (this.options.label) make("p", "viewer-label", this.stage).textContent = this.options.label;
    this.turned = make("p", "viewer-turned", this.stage);
    this.turned.setAttribute("role", "status");
    this.#stateOrientation();
  }

  #givenRegions() {
    const { regions } = this.options;
    return typeof regions === "string" ? JSON.parse(regions || "[]") : regions ?? [];
  }

  /** Show an image; without an argument the present one again. */
  async load(base = this.options.base) {
    const turn = (this.#loading += 1);
    this.began = performance.now();
    this.options.base = base;
    this.levels = [];
    this.#painted.clear();
    this.source = imageAt(base);
    this.#state("loading", "Loading the image …");
    try {
      const quarter = this.source.level(2);
      quarter.catch(() => {}); // the description fails with the same sentence
      const [image] = await Promise.all([this.source.description, styled]);
      if (turn === this.#loading) this.#describe(image);
      this.#add(turn, await quarter);
      if (turn === this.#loading) this.#state("ready", "");
      await this.#more(turn);
    } catch (error) {
      if (turn === this.#loading) this.#fail(error);
    }
  }

  #describe(image) {
    this.image = image;
    this.#dropPainter();
    ({ canvas: this.canvas, painter: this.painter } = makePainter(this.canvas, image, this.options.renderer));
    this.element.dataset.painter = this.painter.kind;
    this.#watchContext();
    this.voi = { ...image.vois[image.shown] };
    this.shown = image.shown;
    this.inverted = false;
    this.orientation = UPRIGHT;
    this.#lay();
    this.#stateOrientation();
    this.overlay.turn(this.orientation);
    this.overlay.setImage(image, this.options.heat, this.options.heatBox);
    this.toolbar?.describe(image);
    this.#warn(image.warnings ?? []);
    this.#size();
    this.fit();
    this.#newTable();
  }

  /** Show what a reader must know of the display: a window that does not fit, an unknown polarity. */
  #warn(sentences) {
    this.warnings.replaceChildren();
    for (const sentence of sentences) make("li", "", this.warnings).textContent = sentence;
    this.warnings.hidden = !sentences.length;
  }

  #watchContext() {
    if (this.painter.kind !== "webgl2") return;
    const { canvas } = this;
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.lost = setTimeout(() => this.#toCanvas(), LOST_MS);
    });
    canvas.addEventListener("webglcontextrestored", () => {
      clearTimeout(this.lost);
      this.painter.restore(this.levels);
      this.painter.setTable(this.table);
      this.ask();
    });
  }

  /** Go on with canvas 2D where the WebGL context does not come back. */
  #toCanvas() {
    const fresh = this.canvas.cloneNode();
    this.canvas.replaceWith(fresh);
    this.canvas = fresh;
    this.painter = new CanvasPainter(fresh);
    this.element.dataset.painter = this.painter.kind;
    this.painter.setTable(this.table);
    this.ask();
  }

  #add(turn, level) {
    if (turn !== this.#loading) return;
    this.levels[level.number] = level;
    this.painter.addLevel(level);
    this.paint();
  }

  /** Fetch what the zoom needs first, then the others. */
  async #more(turn) {
    const eager = this.options.eager !== "false" && this.options.eager !== false;
    const first = wantedLevel(this.view.scale);
    const order = eager ? [1, 0] : [0, 1, 2].filter((number) => number === first);
    for (const number of order) {
      if (turn !== this.#loading || this.levels[number]) continue;
      this.#add(turn, await this.source.level(number));
    }
  }

  #state(state, text) {
    this.element.dataset.state = state;
    this.message.textContent = text;
    this.message.hidden = !text;
  }

  #fail(error) {
    const known = error instanceof ImageError;
    if (!known) console.error(error);
    const message = known ? error.message : "This image cannot be shown: the viewer has an error.";
    if (this.levels.length) this.#state("ready", `${message} A smaller picture is shown.`);
    else this.#state("failed", message);
    this.tell("failed", { message, status: known ? error.status : 0 });
  }

  tell(name, detail) {
    this.element.dispatchEvent(new CustomEvent(`viewer:${name}`, { detail, bubbles: true }));
  }

  // ---- drawing

  /** Paint before the next frame; many calls make one picture. */
  ask() {
    this.#asked ||= requestAnimationFrame(() => this.paint());
  }

  /** Paint now. */
  paint() {
    cancelAnimationFrame(this.#asked);
    this.#asked = 0;
    const level = this.view && levelFor(this.levels, this.view.scale);
    if (!level) return;
    this.painter.paint(level, this.image, this.view);
    const { left, top, width, height } = this.visible();
    this.overlay.look(left, top, width, height, devicePixelRatio / this.view.scale);
    this.#describePicture(level);
    if (level.number > wantedLevel(this.view.scale) && this.element.dataset.state === "ready") {
      this.#more(this.#loading).catch((error) => this.#fail(error));
    }
  }

  #describePicture(level) {
    const zoom = Math.round(this.view.scale * 100);
    const { center, width } = this.voi;
    const values = this.voi.function === "LUT" ? this.voi.name : `C ${Math.round(center)} W ${Math.round(width)}`;
    const detail = ["full", "half", "quarter"][level.number];
    this.status.textContent = `${values} · ${zoom} % · ${detail}${this.inverted ? " · inverted" : ""}`;
    this.element.dataset.level = level.number;
    if (this.#painted.has(level.number)) return;
    this.#painted.add(level.number);
    this.tell("painted", { level: level.number, milliseconds: performance.now() - this.began });
  }

  #newTable() {
    fillTable(this.table, this.image, this.voi, this.inverted);
    this.painter.setTable(this.table);
    this.ask();
  }

  // ---- how the image lies on the screen

  /** Show the image in another orientation; what was fitted to the stage is fitted again. */
  orient(orientation) {
    if (!this.image) return;
    this.orientation = orientation;
    this.#lay();
    this.#stateOrientation();
    this.overlay.turn(orientation);
    this.#size();
    if (this.fitted) this.fit();
    else this.ask();
    this.tell("turned", { ...orientation });
  }

  /** Lay the plane of picture and overlay over the stage, as the orientation says. */
  #lay() {
    const { style } = this.plane;
    const { clientWidth, clientHeight } = this.stage;
    const isOnItsSide = this.orientation.turns % 2 === 1;
    const [width, height] = isOnItsSide ? [clientHeight, clientWidth] : [clientWidth, clientHeight];
    if (isUpright(this.orientation)) {
      style.width = style.height = style.transform = "";
      return;
    }
    style.width = `${width}px`;
    style.height = `${height}px`;
    style.transform = `matrix(${[...matrixOf(this.orientation), ...cornerOf(this.orientation, width, height)].join(", ")})`;
  }

  /** State on the image, and to a screen reader, that it is not shown as stored. */
  #stateOrientation() {
    const words = wordsOf(this.orientation);
    this.element.dataset.turned = String(words !== "");
    this.turned.hidden = words === "";
    this.turned.textContent = words && `${words[0].toUpperCase()}${words.slice(1)}: not as stored (x resets it)`;
    const label = ["Radiograph", this.options.label, words && `(${words})`].filter(Boolean).join(" ");
    this.stage.setAttribute("aria-label", label);
  }

  #size() {
    const { width: across, height: down } = this.stage.getBoundingClientRect();
    const [right, bottom] = this.orientation.turns % 2 ? [down, across] : [across, down];
    const width = Math.max(1, Math.round(right * devicePixelRatio));
    const height = Math.max(1, Math.round(bottom * devicePixelRatio));
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
  }

  #resized() {
    if (!this.view) return;
    const fitted = this.fitted;
    this.#lay();
    this.#size();
    if (fitted) this.fit();
    this.paint();
  }

  #followPixelRatio() {
    this.ratio = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    this.ratio.addEventListener("change", () => { this.#resized(); this.#followPixelRatio(); }, { once: true });
  }

  // ---- gray levels

  setVoi(number) {
    if (!this.image?.vois[number]) return;
    this.shown = number;
    this.voi = { ...this.image.vois[number] };
    this.toolbar?.choose(number);
    this.#newTable();
  }

  nextPreset() {
    if (this.image) this.setVoi((this.shown + 1) % this.image.vois.length);
  }

  /** Widen the window and raise its center by shares of the image's range of values. */
  windowBy(wider, higher) {
    if (!this.image) return;
    const range = rangeOf(this.image);
    const voi = asWindow(this.voi);
    const least = Math.max(1, range.width / 2000);
    voi.width = Math.max(least, voi.width + wider * range.width);
    // Up is brighter, whatever the image's polarity.
    const sign = this.image.inverse !== this.inverted ? -1 : 1;
    voi.center += sign * higher * range.width;
    this.voi = voi;
    this.toolbar?.choose(-1);
    this.#newTable();
  }

  invert() {
    if (!this.image) return;
    this.inverted = !this.inverted;
    this.toolbar?.press("invert", this.inverted);
    this.#newTable();
  }

  #dropPainter() {
    if (!this.painter) return;
    const fresh = this.canvas.cloneNode();
    this.painter.destroy();
    this.canvas.replaceWith(fresh);
    this.canvas = fresh;
  }

  stop() {
    this.#loading += 1;
    cancelAnimationFrame(this.#asked);
    clearTimeout(this.lost);
    this.observer.disconnect();
    this.painter?.destroy();
    this.element.replaceChildren();
  }
}
