// The image viewer of the pages: a plain ES module, no build step, no dependency.
//
//   <link rel="stylesheet" href="{{ root }}static/viewer.css">  (the module adds it where it is absent)
//   <script type="module" src="{{ root }}static/viewer.js"></script>
//   <section data-viewer data-base="../studies/{study_uid}/films/{sop_uid}/" data-label="PA, today"></section>
//
// Every element with `data-viewer` is mounted when the module loads; elements that come later (a part that
// was replaced) are mounted by `mountViewer(element, options)`, which returns the Viewer. For several images
// side by side put the sections into `<div class="viewers">`. Keys act on the viewer that was used last, the
// first one at the start.
//
// Attributes of the section (options of `mountViewer` have the same names without `data-`):
//   data-base     base address of the image, ending with "/"; below it are voi.json and levels/0, 1, 2
//   data-label    a few words above the image: "PA, 3 May 2026"; no patient attribute is needed
//   data-regions  JSON: [{"finding": "f1", "label": "Cardiomegaly, likely", "points": [[column, row], …]}]
//   data-heat     address of a heat map (PNG with transparency) that covers the image; `setHeat` takes a box too
//   data-eager    "false": the full level is fetched only when the zoom needs it (a prior, a lateral)
//   data-renderer "canvas" or "webgl2" forces a painter; without it WebGL2 is used on a graphics processor only
//   data-tools    "none": no buttons (a small picture)
//   data-marks    "none": no marks of missed findings, for a page that does not record them
//
// Events on the section, all bubbling:
//   viewer:painted  {level, milliseconds}  a level is on the screen: 2 quarter, 1 half, 0 full. A decision may
//                   be allowed from level 1 on. Only the first time for each level
//   viewer:failed   {message, status}      the image cannot be shown; the sentence stands in the section. Status
//                   401: log in again, then call `viewer.load()`
//   viewer:mark     {id, shape, box, points}  a person marked a region for an added finding; `points` is closed,
//                   in (column, row) of the image, as the review API takes `region`. `removeMark(id)` removes it
//   viewer:heat     {on}                   the heat map was shown or hidden
//   viewer:tool     {tool}                 null, "ruler", "rectangle" or "ellipse"
//   viewer:turned   {turns, flipped}       the image lies otherwise on the screen; a sign on it states how
//
// Methods: load(base), setRegions(list), showRegions(on), showHeat(on), setHeat(url, box), setTool(name), addMark,
// removeMark(id), fit(), actualSize(), turn(quarters), flip(), reset(), invert(), setVoi(number), destroy(). `viewerOf(element)` returns
// a mounted Viewer. `prefetch(base)` fetches quarter and half of the next study's image.
//
// Findings: whatever has the same `data-finding` as a region gets the class "finding-on" together with it, by
// pointer and by keyboard focus. Regions and heat map are hidden at first.
//
// Keys, outside text fields, unless `<html data-single-keys="off">`: those of viewer-keys.js, which also gives a page
// their words for its list of keys. A page that uses one of them for something else calls `preventDefault()` in a
// capturing listener.

import { Keys, keysAct } from "./viewer-keys.js";
import { ImageError, prefetch } from "./viewer-levels.js";
import { linkFindings, outlineOf } from "./viewer-overlay.js";
import { CanvasPainter, levelFor } from "./viewer-paint.js";
import { Picture, make } from "./viewer-picture.js";
import { Toolbar } from "./viewer-toolbar.js";
import { Pointers } from "./viewer-tools.js";
import { UPRIGHT, flippedAcross, flippedDown, matrixOf, turnedBy } from "./viewer-turn.js";

export { ImageError, linkFindings, prefetch };

const LENS = 220; // CSS pixels

const viewers = new Map();
let active = null;
let marks = 0;

export class Viewer extends Picture {
  constructor(element, options = {}) {
    super(element, options);
    this.tool = null;
    this.dragPans = false;
    this.magnifies = false;
    this.marks = this.options.marks !== "none";
    this.toolbar = this.options.tools === "none" ? null : new Toolbar(this, element);
    this.keys = new Keys(this);
    this.pointers = new Pointers(this, this.stage);
    this.load();
  }

  reset() {
    if (!this.image) return;
    this.inverted = false;
    this.toolbar?.press("invert", false);
    this.setTool(null);
    this.setMagnifier(false);
    this.overlay.clearRulers();
    this.setVoi(this.image.shown);
    this.orient(UPRIGHT);
    this.fit();
  }

  /** Turn what is on the screen by quarters to the right. */
  turn(quarters) {
    this.orient(turnedBy(this.orientation, quarters));
  }

  /** Flip what is on the screen left–right, or top–bottom. */
  flip({ down = false } = {}) {
    this.orient(down ? flippedDown(this.orientation) : flippedAcross(this.orientation));
  }

  setTool(tool) {
    this.tool = tool;
    this.stage.classList.toggle("viewer-draws", tool !== null);
    for (const name of ["ruler", "rectangle", "ellipse"]) this.toolbar?.press(name, tool === name);
    this.tell("tool", { tool });
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
    canvas.style.transform = `matrix(${matrixOf(this.orientation).join(", ")}, 0, 0)`;
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
    this.tell("mark", mark);
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

  /** Take a heat map that covers `box` [left, top, width, height] in image pixels; without a box the image. */
  setHeat(url, box) {
    this.options.heat = url;
    this.options.heatBox = box;
    if (this.image) this.overlay.setImage(this.image, url, box);
    this.toolbar?.offer("heat", Boolean(url));
  }

  showHeat(on) {
    this.overlay.show("heat", on);
    this.toolbar?.press("heat", on);
    this.tell("heat", { on });
  }

  destroy() {
    this.stop();
    viewers.delete(this.element);
    if (active === this) active = null;
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
linkFindings();
for (const element of document.querySelectorAll("[data-viewer]")) mountViewer(element);
