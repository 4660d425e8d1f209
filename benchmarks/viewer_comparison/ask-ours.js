// Measures the viewer of the study page; `painted` is filled from the start of the page.

const [points, done] = arguments;
const ask = async () => {
  const { viewerOf } = await import("/static/viewer.js");
  const shown = () => viewerOf(document.getElementById("viewer"));
  while (!shown()?.levels[0]) await new Promise((go) => setTimeout(go, 10));
  const viewer = shown();
  const sent = fetched();
  const frame = () => new Promise(requestAnimationFrame);
  const look = async () => {
    await frame();
    const { left, top } = viewer.visible();
    const { scale } = viewer.view;
    const grays = graysAt(viewer.canvas, points.map(([x, y]) => [(x - left) * scale, (y - top) * scale]));
    const { center, width } = viewer.voi;
    return { grays, lower: center - width / 2, upper: center + width / 2 - 1 };
  };
  const looks = [await look()];
  let last = 0;
  const drag = await rate((step) => {
    viewer.windowBy(0.01 * (step - last), 0.01 * (step - last));
    last = step;
    return frame();
  });
  viewer.windowBy(-viewer.voi.width / viewer.image.vois.at(-1).width / 2, 0.02);
  looks.push(await look());
  const wanted = viewer.view.scale > 0.5 ? 0 : viewer.view.scale > 0.25 ? 1 : 2;
  const sharp = Object.keys(painted).filter((level) => level <= wanted);
  return {
    first: Math.min(...Object.values(painted)),
    sharp: Math.min(...sharp.map((level) => painted[level])),
    drag, ...sent, looks,
    width: viewer.canvas.width, height: viewer.canvas.height, painter: viewer.element.dataset.painter,
  };
};
ask().then(done, (error) => done({ error: String(error.stack) }));
