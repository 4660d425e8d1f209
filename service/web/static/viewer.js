// The image viewer of the pages: a plain ES module, no build step, no dependency.
//
//   <link rel="stylesheet" href="{{ root }}static/viewer.css">  (the module adds it where it is absent)
//   <script type="module" src="{{ root }}static/viewer.js"></script>
//   <section data-viewer data-film="../studies/{study_uid}/films/{sop_uid}/" data-label="PA, today"></section>
//
// Every element with `data-viewer` is mounted when the module loads; elements that come later (a part that
// was replaced) are mounted by `mountViewer(element, options)`, which returns the Viewer. For several images
// side by side put the sections into `<div class="viewers">`. Keys act on the viewer that was used last, the
// first one at the start.
//
// Attributes of the section (options of `mountViewer` have the same names without `data-`):
//   data-film     base address of the image, ending with "/"; below it are voi.json and levels/0, 1, 2
//   data-label    a few words above the image: "PA, 3 May 2026"; no patient attribute is needed
//   data-regions  JSON: [{"finding": "f1", "label": "Cardiomegaly, likely", "points": [[column, row], …]}]
//   data-heat     address of a heat map (PNG with transparency) that covers the image
//   data-eager    "false": the full level is fetched only when the zoom needs it (a prior, a lateral)
//   data-renderer "canvas" or "webgl2" forces a painter; without it WebGL2 is used on a graphics processor only
//   data-tools    "none": no buttons (a small picture)
//
// Events on the section, all bubbling:
//   viewer:painted  {level, milliseconds}  a level is on the screen: 2 quarter, 1 half, 0 full. A decision may
//                   be allowed from level 1 on. Only the first time for each level
//   viewer:failed   {message, status}      the image cannot be shown; the sentence stands in the section. Status
//                   401: log in again, then call `viewer.load()`
//   viewer:mark     {id, shape, box, points}  a person marked a region for an added finding; `points` is closed,
//                   in (column, row) of the image, as the review API takes `region`. `removeMark(id)` removes it
//   viewer:tool     {tool}                 null, "ruler", "rectangle" or "ellipse"
//
// Methods: load(film), setRegions(list), showRegions(on), showHeat(on), setHeat(url), setTool(name), addMark,
// removeMark(id), fit(), actualSize(), reset(), invert(), setVoi(number), destroy(). `viewerOf(element)` returns
// a mounted Viewer. `prefetch(base)` fetches quarter and half of the next study's image.
//
// Findings: whatever has the same `data-finding` as a region gets the class "finding-on" together with it, by
// pointer and by keyboard focus. Regions and heat map are hidden at first.
//
// Keys, outside text fields, unless `<html data-single-keys="off">`: i invert, arrows pan, Shift+arrows window,
// + - zoom, 0 fit, 1 1:1, w next window, h (held) heat map, o regions, m mark (m again: ellipse; arrows move,
// Shift+arrows size, Enter keeps, Escape leaves), z magnifier. A page that uses one of them for something else
// calls `preventDefault()` in a capturing listener.

import { FilmError, filmAt, prefetch } from "./viewer-levels.js";
import { Overlay, linkFindings, outlineOf } from "./viewer-overlay.js";
import { CanvasPainter, levelFor, makePainter, origin, wantedLevel } from "./viewer-paint.js";
import { VALUES, asWindow, fillTable, rangeOf } from "./viewer-table.js";
import { Toolbar } from "./viewer-toolbar.js";
import { Keys, Pointers, keysAct } from "./viewer-tools.js";

export { FilmError, linkFindings, prefetch };

const MOST_ZOOM = 32; // device pixels for an image pixel
const LENS = 220; // CSS pixels
const LOST_MS = 2000; // until a lost WebGL context is replaced by canvas 2D

const viewers = new Map();
let active = null;
let marks = 0;

const make = (name, className, parent) => {
  const element = document.createElement(name);
  element.className = className;
  parent?.append(element);
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

export class Viewer extends EventTarget {
  #asked = 0;
  #painted = new Set();
  #loading = 0;

  constructor(element, options = {}) {
    super();
    this.element = element;
    this.options = { ...element.dataset, ...options };
    this.levels = [];
    this.table = new Uint8Array(VALUES);
    this.tool = null;
    this.dragPans = false;
    this.magnifies = false;
    this.#build();
    this.keys = new Keys(this);
    this.pointers = new Pointers(this, this.stage);
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.stage);
    this.#followPixelRatio();
    this.load(this.options.film);
  }

  #build() {
    const { element } = this;
    element.replaceChildren();
    element.classList.add("viewer");
    this.toolbar = this.options.tools === "none" ? null : new Toolbar(this, element);
    this.stage = make("div", "viewer-stage", element);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-roledescription", "radiograph");
    this.stage.setAttribute("aria-label", `Radiograph ${this.options.label ?? ""}`.trim());
    this.canvas = make("canvas", "viewer-canvas", this.stage);
    this.overlay = new Overlay(this.stage);
    this.overlay.setRegions(this.#givenRegions());
    this.status = make("p", "viewer-status", this.stage);
    this.message = make("p", "viewer-loading", this.stage);
    this.message.setAttribute("role", "status");
    if (this.options.label) make("p", "viewer-label", this.stage).textContent = this.options.label;
  }

  #givenRegions() {
    const { regions } = this.options;
    return typeof regions === "string" ? JSON.parse(regions || "[]") : regions ?? [];
  }

  /** Show an image; without an argument the present one again. */
  async load(film = this.options.film) {
    const turn = (this.#loading += 1);
    this.began = performance.now();
    this.options.film = film;
    this.levels = [];
    this.#painted.clear();
    this.film = filmAt(film);
    this.#state("loading", "Loading the image …");
    try {
      const quarter = this.film.level(2);
      quarter.catch(() => {}); // the description fails with the same sentence
      const [image] = await Promise.all([this.film.description, styled]);
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
    this.overlay.setImage(image, this.options.heat);
    this.toolbar?.describe(image);
    this.#size();
    this.fit();
    this.#newTable();
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
      this.#add(turn, await this.film.level(number));
    }
  }

  #state(state, words) {
    this.element.dataset.state = state;
    this.message.textContent = words;
    this.message.hidden = !words;
  }

  #fail(error) {
    const known = error instanceof FilmError;
    if (!known) console.error(error);
    const message = known ? error.message : "This image cannot be shown: the viewer has an error.";
    if (this.levels.length) this.#state("ready", `${message} A smaller picture is shown.`);
    else this.#state("failed", message);
    this.#tell("failed", { message, status: known ? error.status : 0 });
  }

  #tell(name, detail) {
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
    this.#tell("painted", { level: level.number, milliseconds: performance.now() - this.began });
  }

  #newTable() {
    fillTable(this.table, this.image, this.voi, this.inverted);
    this.painter.setTable(this.table);
    this.ask();
  }

  #size() {
    const box = this.stage.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * devicePixelRatio));
    const height = Math.max(1, Math.round(box.height * devicePixelRatio));
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
  }

  #resized() {
    if (!this.view) return;
    const fitted = this.fitted;
    this.#size();
    if (fitted) this.fit();
    this.paint();
  }

  #followPixelRatio() {
    this.ratio = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    this.ratio.addEventListener("change", () => { this.#resized(); this.#followPixelRatio(); }, { once: true });
  }

  // ---- the view

  /** Return the part of the image on the screen, in image pixels. */
  visible() {
    const { width, height } = this.canvas;
    const { left, top } = origin(this.view, width, height);
    return { left, top, width: width / this.view.scale, height: height / this.view.scale };
  }

  /** Return the image point under a place of the stage in CSS pixels. */
  imagePoint([x, y]) {
    const { left, top } = this.visible();
    const step = devicePixelRatio / this.view.scale;
    return [left + x * step, top + y * step];
  }

  #fitScale() {
    return Math.min(this.canvas.width / this.image.columns, this.canvas.height / this.image.rows);
  }

  fit() {
    this.view = { x: this.image.columns / 2, y: this.image.rows / 2, scale: this.#fitScale() };
    this.fitted = true;
    this.ask();
  }

  actualSize(place) {
    this.zoomBy(1 / this.view.scale, place);
  }

  toggleSize(place) {
    if (!this.view) return;
    if (this.fitted) this.actualSize(place);
    else this.fit();
  }

  /** Zoom by a factor; the image point at `place` stays where it is. */
  zoomBy(factor, place = [this.stage.clientWidth / 2, this.stage.clientHeight / 2]) {
    if (!this.view) return;
    const [x, y] = this.imagePoint(place);
    const least = Math.min(1, this.#fitScale()) / 4;
    const scale = Math.max(least, Math.min(MOST_ZOOM, this.view.scale * factor));
    const shrunk = this.view.scale / scale;
    this.view = { x: x + (this.view.x - x) * shrunk, y: y + (this.view.y - y) * shrunk, scale };
    this.fitted = false;
    this.#hold();
  }

  /** Pan by CSS pixels. */
  panBy(right, down) {
    if (!this.view) return;
    const step = devicePixelRatio / this.view.scale;
    this.view = { ...this.view, x: this.view.x - right * step, y: this.view.y - down * step };
    this.fitted = false;
    this.#hold();
  }

  /** Pan by a share of what is visible. */
  panByShare(right, down) {
    this.panBy(right * this.stage.clientWidth, down * this.stage.clientHeight);
  }

  /** Keep the center of the view on the image, so that it cannot be lost. */
  #hold() {
    this.view.x = Math.max(0, Math.min(this.image.columns, this.view.x));
    this.view.y = Math.max(0, Math.min(this.image.rows, this.view.y));
    this.ask();
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

  reset() {
    if (!this.image) return;
    this.inverted = false;
    this.toolbar?.press("invert", false);
    this.setTool(null);
    this.setMagnifier(false);
    this.overlay.clearRulers();
    this.setVoi(this.image.shown);
    this.fit();
  }

  // ---- tools

  setTool(tool) {
    this.tool = tool;
    this.stage.classList.toggle("viewer-draws", tool !== null);
    for (const name of ["ruler", "rectangle", "ellipse"]) this.toolbar?.press(name, tool === name);
    this.#tell("tool", { tool });
  }

  setDragPans(on) {
    this.dragPans = on;
    this.toolbar?.press("pan", on);
  }

  setMagnifier(on) {
    this.magnifies = on;
    this.toolbar?.press("magnifier", on);
    if (!on) this.magnify(null);
  }

  /** Show the lens around a place of the stage; null hides it. */
  magnify(place) {
    if (!place || !this.view) {
      if (this.lens) this.lens.canvas.hidden = true;
      return;
    }
    this.lens ??= new CanvasPainter(make("canvas", "viewer-lens", this.stage));
    const { canvas } = this.lens;
    canvas.hidden = false;
    canvas.width = canvas.height = Math.round(LENS * devicePixelRatio);
    canvas.style.translate = `${place[0] - LENS / 2}px ${place[1] - LENS / 2}px`;
    const [x, y] = this.imagePoint(place);
    const view = { x, y, scale: Math.max(2 * this.view.scale, devicePixelRatio) };
    this.lens.setTable(this.table);
    const level = levelFor(this.levels, view.scale);
    if (level) this.lens.paint(level, this.image, view);
  }

  /** Return the distance between two image points in words (PS3.3 10.7.1.1). */
  distance(from, to) {
    const [x, y] = [to[0] - from[0], to[1] - from[1]];
    const { spacing, spacing_of: where } = this.image;
    if (!spacing) return `${Math.round(Math.hypot(x, y))} pixels (no pixel spacing)`;
    return `${Math.hypot(x * spacing[1], y * spacing[0]).toFixed(1)} mm ${where}`;
  }

  /** Add a mark in a box [left, top, right, bottom] of image pixels, cut at the image's edge. */
  addMark(shape, box) {
    const { columns, rows } = this.image;
    const inside = box.map((value, number) => Math.max(0, Math.min(number % 2 ? rows : columns, value)));
    const points = outlineOf(shape, inside).map((point) => point.map((value) => Math.round(value * 10) / 10));
    const mark = { id: `mark-${(marks += 1)}`, shape, box: inside, points, label: `Marked ${shape}` };
    this.overlay.addMark(mark);
    this.setTool(null);
    this.#tell("mark", mark);
    return mark;
  }

  removeMark(id) {
    this.overlay.removeMark(id);
  }

  setRegions(regions) {
    this.overlay.setRegions(regions);
    this.toolbar?.offer("regions", regions.length > 0);
  }

  showRegions(on) {
    this.overlay.show("regions", on);
    this.toolbar?.press("regions", on);
  }

  setHeat(url) {
    this.options.heat = url;
    if (this.image) this.overlay.setImage(this.image, url);
    this.toolbar?.offer("heat", Boolean(url));
  }

  showHeat(on) {
    this.overlay.show("heat", on);
    this.toolbar?.press("heat", on);
  }

  #dropPainter() {
    if (!this.painter) return;
    const fresh = this.canvas.cloneNode();
    this.painter.destroy();
    this.canvas.replaceWith(fresh);
    this.canvas = fresh;
  }

  destroy() {
    this.#loading += 1;
    cancelAnimationFrame(this.#asked);
    clearTimeout(this.lost);
    this.observer.disconnect();
    this.painter?.destroy();
    viewers.delete(this.element);
    if (active === this) active = null;
    this.element.replaceChildren();
  }
}

/** Mount a viewer in an element, in place of one that is there; return it. */
export const mountViewer = (element, options = {}) => {
  viewers.get(element)?.destroy();
  const viewer = new Viewer(element, options);
  viewers.set(element, viewer);
  return viewer;
};

/** Return the viewer mounted in an element, or undefined. */
export const viewerOf = (element) => viewers.get(element);

// ---- once for the document

const inUse = () => {
  for (const [element, viewer] of viewers) if (!element.isConnected) viewer.destroy();
  return active ?? viewers.values().next().value;
};

for (const name of ["pointerdown", "focusin"]) {
  document.addEventListener(name, (event) => {
    const element = event.target.closest?.(".viewer");
    if (element && viewers.has(element)) active = viewers.get(element);
  });
}
document.addEventListener("keydown", (event) => {
  if (!keysAct(event)) return;
  if (inUse()?.keys.down(event)) event.preventDefault();
});
document.addEventListener("keyup", (event) => inUse()?.keys.up(event));
linkFindings();
for (const element of document.querySelectorAll("[data-viewer]")) mountViewer(element);
