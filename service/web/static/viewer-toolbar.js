// The buttons of a viewer.

const BUTTONS = [
  { name: "fit", text: "Fit", key: "0", act: (viewer) => viewer.fit() },
  { name: "actual", text: "1:1", key: "1", act: (viewer) => viewer.actualSize() },
  { name: "in", text: "+", label: "Zoom in", key: "+", act: (viewer) => viewer.zoomBy(1.25) },
  { name: "out", text: "−", label: "Zoom out", key: "-", act: (viewer) => viewer.zoomBy(0.8) },
  { name: "pan", text: "Pan", toggle: true, act: (viewer) => viewer.setDragPans(!viewer.dragPans) },
  { name: "invert", text: "Invert", key: "i", toggle: true, act: (viewer) => viewer.invert() },
  { name: "magnifier", text: "Magnifier", key: "z", toggle: true, act: (viewer) => viewer.setMagnifier(!viewer.magnifies) },
  { name: "ruler", text: "Ruler", tool: true },
  { name: "rectangle", text: "Mark ▭", label: "Mark a rectangle", key: "m", tool: true, marks: true },
  { name: "ellipse", text: "Mark ◯", label: "Mark an ellipse", tool: true, marks: true },
  { name: "regions", text: "Regions", key: "o", toggle: true, act: (viewer) => viewer.showRegions(!viewer.overlay.shows("regions")) },
  { name: "heat", text: "Heat map", key: "h", toggle: true, act: (viewer) => viewer.showHeat(!viewer.overlay.shows("heat")) },
  { name: "turn", text: "Rotate", label: "Rotate 90° right", key: "v", act: (viewer) => viewer.turn(1) },
  { name: "flip", text: "Flip", label: "Flip left–right", key: "f", act: (viewer) => viewer.flip() },
  { name: "reset", text: "Reset", key: "x", act: (viewer) => viewer.reset() },
];

export class Toolbar {
  #buttons = new Map();

  constructor(viewer, parent) {
    this.viewer = viewer;
    this.root = document.createElement("div");
    this.root.className = "viewer-tools";
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Image tools");
    parent.prepend(this.root);
    this.presets = document.createElement("select");
    this.presets.setAttribute("aria-label", "Window");
    this.presets.title = "Window (w)";
    this.presets.addEventListener("change", () => viewer.setVoi(Number(this.presets.value)));
    this.root.append(this.presets);
    for (const button of BUTTONS) if (!button.marks || viewer.marks) this.#add(button);
  }

  #add({ name, text, label, key, act, toggle, tool }) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.title = `${label ?? text}${key ? ` (${key})` : ""}`;
    if (label) button.setAttribute("aria-label", label);
    if (key) button.setAttribute("aria-keyshortcuts", key);
    if (toggle || tool) button.setAttribute("aria-pressed", "false");
    const { viewer } = this;
    button.addEventListener("click", () => {
      if (!viewer.image) return;
      if (tool) viewer.setTool(viewer.tool === name ? null : name);
      else act(viewer);
    });
    this.#buttons.set(name, button);
    this.root.append(button);
  }

  /** Offer the windows of an image, and hide the buttons of what it does not have. */
  describe(image) {
    this.presets.replaceChildren();
    image.vois.forEach((voi, number) => this.presets.append(new Option(voi.name, String(number))));
    this.presets.append(new Option("Own window", "-1"));
    this.presets.lastChild.disabled = true;
    this.choose(image.shown);
    this.press("invert", false);
    this.offer("regions", this.viewer.overlay.regions.childElementCount > 0);
    this.offer("heat", Boolean(this.viewer.options.heat));
  }

  /** Show a button, or hide what this image does not have. */
  offer(name, on) {
    this.#buttons.get(name).hidden = !on;
  }

  choose(number) {
    this.presets.value = String(number);
  }

  press(name, on) {
    this.#buttons.get(name)?.setAttribute("aria-pressed", String(on));
  }
}
