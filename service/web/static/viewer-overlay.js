// What lies over the picture: regions of findings, heat map, marks, ruler, direction letters. One SVG whose
// viewBox is the visible part of the image, so that everything is drawn in image pixels.

import { UPRIGHT, toPlane, uprightText } from "./viewer-turn.js";

const SVG = "http://www.w3.org/2000/svg";
const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };
const SIDES = { left: [-1, 0], right: [1, 0], top: [0, -1], bottom: [0, 1] };

const svg = (name, attributes = {}, parent = null) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  parent?.append(element);
  return element;
};

const pathOf = (points) => `M${points.map(([x, y]) => `${x} ${y}`).join("L")}Z`;

/** Return the outline of a rectangle or ellipse in a box [left, top, right, bottom], closed. */
export const outlineOf = (shape, [left, top, right, bottom]) => {
  if (shape === "rectangle") {
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
  }
  const points = [];
  for (let step = 0; step < 32; step += 1) {
    const angle = (step / 32) * 2 * Math.PI;
    const across = (left + right) / 2 + ((right - left) / 2) * Math.cos(angle);
    points.push([across, (top + bottom) / 2 + ((bottom - top) / 2) * Math.sin(angle)]);
  }
  return [...points, points[0]];
};

export class Overlay {
  #labels = [];
  #orientation = UPRIGHT;
  #directions = ["", ""];

  // What lies on the image is in its plane; the direction letters are at the edges of the stage.
  constructor(plane, stage) {
    this.root = svg("svg", { class: "viewer-overlay", preserveAspectRatio: "none", role: "group" }, plane);
    this.root.setAttribute("aria-label", "Marked regions");
    this.heat = svg("image", { class: "viewer-heat", preserveAspectRatio: "none" }, this.root);
    this.regions = svg("g", { class: "viewer-regions" }, this.root);
    this.marks = svg("g", { class: "viewer-marks" }, this.root);
    this.draft = svg("g", { class: "viewer-drawing" }, this.root);
    this.rulers = svg("g", { class: "viewer-rulers" }, this.root);
    this.letters = Object.keys(SIDES).map((side) => {
      const letter = document.createElement("span");
      letter.className = `viewer-letter viewer-${side}`;
      stage.append(letter);
      return letter;
    });
  }

  /** Show the visible rectangle of the image; `pixel` is the length of a CSS pixel in image pixels. */
  look(left, top, width, height, pixel) {
    this.root.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
    for (const { text, at } of this.#labels) {
      const upright = uprightText(this.#orientation);
      text.setAttribute("transform", `translate(${at[0]} ${at[1]}) ${upright} scale(${pixel})`);
    }
  }

  /** Take an image, and a heat map that covers the box [left, top, width, height] of it, or all of it. */
  setImage(image, heatUrl, heatBox) {
    const [left, top, width, height] = heatBox ?? [0, 0, image.columns, image.rows];
    for (const [name, value] of Object.entries({ x: left, y: top, width, height })) this.heat.setAttribute(name, value);
    if (heatUrl) this.heat.setAttribute("href", heatUrl);
    else this.heat.removeAttribute("href");
    this.#directions = image.orientation ?? ["", ""];
    this.turn(this.#orientation);
  }

  /** Put the direction letters at the edges that they belong to in this orientation. */
  turn(orientation) {
    this.#orientation = orientation;
    const [across, down] = this.#directions.map((each) => each[0] ?? "");
    Object.values(SIDES).forEach((side, number) => {
      const [x, y] = toPlane(orientation, side);
      const toward = x ? across : down;
      this.letters[number].textContent = (x + y > 0 ? toward : OPPOSITE[toward]) ?? "";
    });
  }

  /** Show the regions of findings: `[{finding, label, points: [[column, row], …]}]`. */
  setRegions(regions) {
    this.regions.replaceChildren();
    for (const { finding, label, points } of regions) {
      const group = svg("g", { tabindex: 0, role: "button", "aria-label": label ?? finding }, this.regions);
      group.dataset.finding = finding;
      svg("path", { d: pathOf(points) }, group);
      svg("title", {}, group).textContent = label ?? finding;
    }
  }

  addMark(mark) {
    const group = svg("g", { role: "img", "aria-label": mark.label }, this.marks);
    group.dataset.finding = mark.id;
    svg("path", { d: pathOf(mark.points) }, group);
  }

  removeMark(id) {
    this.marks.querySelector(`[data-finding="${CSS.escape(id)}"]`)?.remove();
  }

  /** Show the outline that is being drawn; null removes it. */
  drawing(points) {
    this.draft.replaceChildren();
    if (points) svg("path", { d: pathOf(points) }, this.draft);
  }

  /** Return a ruler that can be moved: its `set(from, to, caption)` draws it. */
  addRuler() {
    const group = svg("g", {}, this.rulers);
    const line = svg("path", {}, group);
    const text = svg("text", { "font-size": 14, "text-anchor": "middle", dy: -6 }, group);
    const label = { text, at: [0, 0] };
    this.#labels.push(label);
    const set = (from, to, caption) => {
      line.setAttribute("d", `M${from[0]} ${from[1]}L${to[0]} ${to[1]}`);
      text.textContent = caption;
      label.at = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    };
    return { set, remove: () => { group.remove(); this.#labels = this.#labels.filter((each) => each !== label); } };
  }

  clearRulers() {
    this.rulers.replaceChildren();
    this.#labels = [];
  }

  show(name, on) {
    this.root.classList.toggle(`with-${name}`, on);
  }

  shows(name) {
    return this.root.classList.contains(`with-${name}`);
  }
}

/** Light up everything in the document that belongs to one finding, from whichever of its parts. */
export const linkFindings = (root = document) => {
  const mark = (event, on) => {
    const source = event.target.closest?.("[data-finding]");
    if (!source) return;
    const same = `[data-finding="${CSS.escape(source.dataset.finding)}"]`;
    for (const element of root.querySelectorAll(same)) element.classList.toggle("finding-on", on);
  };
  root.addEventListener("pointerover", (event) => mark(event, true));
  root.addEventListener("pointerout", (event) => mark(event, false));
  root.addEventListener("focusin", (event) => mark(event, true));
  root.addEventListener("focusout", (event) => mark(event, false));
};
