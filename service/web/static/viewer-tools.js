// Mouse, pen and touch on a viewer, and the mark that keys place. The viewer itself knows none of them.

import { outlineOf } from "./viewer-overlay.js";
import { toPlane } from "./viewer-turn.js";

const WHEEL = 1 / 500;
const LEAST_MARK = 8; // CSS pixels

/** Pointers on the stage: drag, wheel, pinch, and drawing with a tool. */
export class Pointers {
  #held = new Map();
  #drawn = null;

  constructor(viewer, stage) {
    this.viewer = viewer;
    this.stage = stage;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => this.#up(event));
    }
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => viewer.toggleSize(this.#place(event)));
    stage.addEventListener("pointerleave", () => viewer.magnify(null));
  }

  /** Return the event's place in CSS pixels from the stage's corner. */
  #place(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    if (event.button > 1 || event.target.closest(".viewer-regions g, .viewer-loading")) return;
    this.stage.setPointerCapture(event.pointerId);
    this.#held.set(event.pointerId, this.#place(event));
    if (event.button === 1) event.preventDefault(); // no autoscroll
    this.pans = event.shiftKey || event.button === 1 || event.pointerType === "touch" || this.viewer.dragPans;
    const { tool } = this.viewer;
    if (this.#held.size > 1) this.#cancel();
    else if (tool === "ruler") this.#drawn = this.#ruler(this.#place(event));
    else if (tool) this.#drawn = this.#shape(tool, this.#place(event));
  }

  #move(event) {
    const place = this.#place(event);
    if (this.viewer.magnifies) this.viewer.magnify(place);
    const before = this.#held.get(event.pointerId);
    if (!before) return;
    this.#held.set(event.pointerId, place);
    if (this.#held.size === 2) this.#pinch(event.pointerId, before, place);
    else if (this.#drawn) this.#drawn.move(place);
    else if (this.pans) this.viewer.panBy(place[0] - before[0], place[1] - before[1]);
    else this.viewer.windowBy((place[0] - before[0]) / 400, (place[1] - before[1]) / 400);
  }

  #up(event) {
    const place = this.#held.get(event.pointerId);
    this.#held.delete(event.pointerId);
    if (!place || !this.#drawn) return;
    const drawn = this.#drawn;
    this.#drawn = null;
    if (event.type === "pointercancel") drawn.cancel();
    else drawn.end(place);
  }

  #cancel() {
    this.#drawn?.cancel();
    this.#drawn = null;
  }

  #pinch(id, before, now) {
    const [other] = [...this.#held].filter(([each]) => each !== id).map(([, place]) => place);
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    this.viewer.panBy((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    this.viewer.zoomBy(apart(now) / apart(before), middle);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.viewer.zoomBy(Math.exp(-event.deltaY * lines * WHEEL), this.#place(event));
  }

  #ruler(place) {
    const { viewer } = this;
    const ruler = viewer.overlay.addRuler();
    const from = viewer.imagePoint(place);
    const move = (to) => {
      const end = viewer.imagePoint(to);
      ruler.set(from, end, viewer.distance(from, end));
      viewer.ask();
    };
    const end = (to) => (Math.hypot(to[0] - place[0], to[1] - place[1]) < 3 ? ruler.remove() : move(to));
    return { move, end, cancel: () => ruler.remove() };
  }

  #shape(shape, place) {
    const { viewer } = this;
    const from = viewer.imagePoint(place);
    const boxTo = (to) => {
      const [x, y] = viewer.imagePoint(to);
      return [Math.min(from[0], x), Math.min(from[1], y), Math.max(from[0], x), Math.max(from[1], y)];
    };
    const cancel = () => viewer.overlay.drawing(null);
    return {
      move: (to) => viewer.overlay.drawing(outlineOf(shape, boxTo(to))),
      end: (to) => {
        cancel();
        if (Math.hypot(to[0] - place[0], to[1] - place[1]) >= LEAST_MARK) viewer.addMark(shape, boxTo(to));
      },
      cancel,
    };
  }
}

/** A mark that is placed by keys: arrows move it, Shift+arrows change its size, Enter keeps it. */
export class KeyMark {
  constructor(viewer) {
    this.viewer = viewer;
    const { left, top, width, height } = viewer.visible();
    this.box = [left + width * 0.4, top + height * 0.4, left + width * 0.6, top + height * 0.6];
    this.draw();
  }

  draw() {
    this.viewer.overlay.drawing(outlineOf(this.viewer.tool, this.box));
  }

  /** Move the box to the right and down on the screen, or move its right and lower edge there. */
  arrow(right, down, resizes) {
    const { width, height } = this.viewer.visible();
    const { orientation } = this.viewer;
    const [x, y] = toPlane(orientation, [right, down]);
    const [across, along] = [x * width * 0.02, y * height * 0.02];
    const [left, top, end, bottom] = this.box;
    if (!resizes) {
      this.box = [left + across, top + along, end + across, bottom + along];
    } else {
      // The edge that is right or lower on the screen may be any edge in the image.
      const [toEnd, toBottom] = toPlane(orientation, [Math.abs(right), Math.abs(down)]);
      this.box = [
        toEnd < 0 ? Math.min(end - 1, left + across) : left,
        toBottom < 0 ? Math.min(bottom - 1, top + along) : top,
        toEnd > 0 ? Math.max(left + 1, end + across) : end,
        toBottom > 0 ? Math.max(top + 1, bottom + along) : bottom,
      ];
    }
    this.draw();
  }

  keep() {
    this.viewer.overlay.drawing(null);
    this.viewer.addMark(this.viewer.tool, this.box);
  }
}
