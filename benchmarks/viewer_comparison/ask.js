// What both pages are asked: the start of the scripts that benchmarks/viewer_peers.py runs in them.

const DRAG_MS = 3000;
const SIDE = 9; // of the squares whose mean gray is compared: it must not be the noise of one pixel

/** Return the frames a second of a drag; `turn` is given 0 to 10 and back, and resolves when it is painted. */
const rate = async (turn) => {
  const began = performance.now();
  let frames = 0;
  while (performance.now() - began < DRAG_MS) {
    const step = frames % 20;
    await turn(step < 10 ? step : 20 - step);
    frames += 1;
  }
  return (1000 * frames) / (performance.now() - began);
};

/** Return the mean gray levels around places of a canvas. */
const graysAt = (canvas, places) => {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return places.map(([x, y]) => {
    const [left, top] = [Math.floor(x) - (SIDE >> 1), Math.floor(y) - (SIDE >> 1)];
    const { data } = context.getImageData(left, top, SIDE, SIDE);
    return data.reduce((sum, value, at) => (at % 4 ? sum : sum + value), 0) / SIDE ** 2;
  });
};

/** Return what the page has fetched until now, in kB. */
const fetched = () => {
  const found = { program: 0, image: 0 };
  for (const kind of ["navigation", "resource"]) {
    for (const { name, transferSize } of performance.getEntriesByType(kind)) {
      found[/levels\/\d|film\.png/.test(name) ? "image" : "program"] += transferSize / 1000;
    }
  }
  return found;
};
