// The part of an image on the screen: fitting, zoom and pan. `viewer-picture.js` paints it.

import { origin } from "./viewer-paint.js";
import { UPRIGHT, cornerOf, toPlane } from "./viewer-turn.js";

const MOST_ZOOM = 32; // device pixels for an image pixel

/** The view of an image. The subclass sets `canvas`, `image` and `stage`, and paints when asked. */
export class View {
  orientation = UPRIGHT;

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
    const [right, down] = cornerOf(this.orientation, this.plane.clientWidth, this.plane.clientHeight);
    const [across, along] = toPlane(this.orientation, [x - right, y - down]);
    return [left + across * step, top + along * step];
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

  /** Pan by CSS pixels of the screen. */
  panBy(right, down) {
    if (!this.view) return;
    const step = devicePixelRatio / this.view.scale;
    const [across, along] = toPlane(this.orientation, [right, down]);
    this.view = { ...this.view, x: this.view.x - across * step, y: this.view.y - along * step };
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
}
