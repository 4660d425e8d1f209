// The keys of a viewer: what each does, and its words in the list of keys of every page with a viewer.

import { KeyMark } from "./viewer-tools.js";

const KEY_PAN = 0.06; // of the visible width or height
const KEY_WINDOW = 0.02; // of the range of values

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const inText = (target) => target.closest?.("input, textarea, select, [contenteditable]:not([contenteditable=false]), dialog");

// Each key and its words, in the order of the list of keys. `shown` stands in the list where it differs from the
// keys of `runs`; `needs` names what not every viewer has. Arrows and "m" have a state, and are handled below.
const ENTRIES = [
  { help: "invert", runs: { i: (viewer) => viewer.invert() } },
  { shown: "Arrows", help: "pan; with Shift: window" },
  {
    shown: "+ -",
    help: "zoom",
    runs: {
      "+": (viewer) => viewer.zoomBy(1.25),
      "=": (viewer) => viewer.zoomBy(1.25),
      "-": (viewer) => viewer.zoomBy(0.8),
    },
  },
  { help: "fit, one to one", runs: { 0: (viewer) => viewer.fit(), 1: (viewer) => viewer.actualSize() } },
  { help: "next window", runs: { w: (viewer) => viewer.nextPreset() } },
  {
    help: "regions of the findings on or off",
    needs: "regions",
    runs: { o: (viewer) => viewer.showRegions(!viewer.overlay.shows("regions")) },
  },
  { help: "magnifier", runs: { z: (viewer) => viewer.setMagnifier(!viewer.magnifies) } },
  { shown: "m", help: "mark a missed finding; again: ellipse; Enter keeps it", needs: "marks" },
  {
    help: "rotate the image 90° right, left",
    runs: { v: (viewer) => viewer.turn(1), V: (viewer) => viewer.turn(-1) },
  },
  {
    help: "flip the image left–right, top–bottom",
    runs: { f: (viewer) => viewer.flip(), F: (viewer) => viewer.flip({ down: true }) },
  },
  {
    help: "image as first shown: not rotated, not flipped, first window, fit",
    runs: { x: (viewer) => viewer.reset() },
  },
];
const SIMPLE = Object.assign({}, ...ENTRIES.map(({ runs }) => runs));

/** Return the keys for the list of a page (`showKeys` of review/keys.js) whose viewer has "regions", "marks". */
export const viewerKeys = (...has) => Object.fromEntries(
  ENTRIES.filter(({ needs }) => !needs || has.includes(needs))
    .map(({ shown, help, runs }) => [shown ?? Object.keys(runs).join(" "), { help }]),
);

/** Keys of one viewer; the page decides by `active` which viewer they act on. */
export class Keys {
  #mark = null;

  constructor(viewer) {
    this.viewer = viewer;
  }

  /** Act on a key; return whether it was one of ours. */
  down(event) {
    const { viewer } = this;
    if (ARROWS[event.key]) return this.#arrow(ARROWS[event.key], event.shiftKey);
    if (event.key === "h") return this.#heat();
    if (event.key === "m") return this.#nextMark();
    if (event.key === "Enter" && this.#mark && !event.target.closest?.("button, a, [role=button]")) this.#keep();
    else if (event.key === "Escape" && viewer.tool) this.cancel();
    else if (SIMPLE[event.key]) SIMPLE[event.key](viewer);
    else return false;
    return true;
  }

  /** Show or hide the heat map; a page may have another use for the key where there is none. */
  #heat() {
    const { viewer } = this;
    if (!viewer.options.heat) return false;
    viewer.showHeat(!viewer.overlay.shows("heat"));
    return true;
  }

  cancel() {
    this.#mark = null;
    this.viewer.overlay.drawing(null);
    this.viewer.setTool(null);
  }

  #arrow([right, down], shifted) {
    const { viewer } = this;
    if (this.#mark) this.#mark.arrow(right, down, shifted);
    else if (shifted) viewer.windowBy(right * KEY_WINDOW, down * KEY_WINDOW);
    else viewer.panByShare(-right * KEY_PAN, -down * KEY_PAN);
    return true;
  }

  /** Begin a mark, change its shape, or leave it; a page where nothing is marked may use the key otherwise. */
  #nextMark() {
    const { viewer } = this;
    if (!viewer.marks) return false;
    const next = { rectangle: "ellipse", ellipse: null }[viewer.tool];
    if (next === null) {
      this.cancel();
      return true;
    }
    viewer.setTool(next ?? "rectangle");
    if (this.#mark) this.#mark.draw();
    else this.#mark = new KeyMark(viewer);
    return true;
  }

  #keep() {
    const mark = this.#mark;
    this.#mark = null;
    mark.keep();
    this.viewer.setTool(null);
  }
}

/** Whether single keys may act now: not while a person types, nor where the page switched them off. */
export const keysAct = (event) =>
  !event.defaultPrevented && !event.isComposing && !event.ctrlKey && !event.metaKey && !event.altKey &&
  !inText(event.target) && document.documentElement.dataset.singleKeys !== "off";
