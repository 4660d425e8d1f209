// Measures the page of cornerstone.

// `windows` are those that ours was looked at with; `share` is the size of the level, 1 for the full one.
const [points, windows, share, done] = arguments;
const ask = async () => {
  const peer = await window.peer;
  const sent = fetched();
  const look = async (window) => {
    await peer.setWindow(window);
    const places = points.map((point) => peer.placeOf(point.map((at) => at * share)));
    return { grays: graysAt(peer.canvas(), places) };
  };
  const looks = [await look(windows[0])];
  const { lower, upper } = windows[0];
  const range = upper - lower;
  const drag = await rate((step) => peer.setWindow({
    lower: lower + 0.005 * range * step, upper: upper + 0.015 * range * step,
  }));
  looks.push(await look(windows[1]));
  return { first: peer.painted, sharp: peer.painted, drag, ...sent, looks };
};
ask().then(done, (error) => done({ error: String(error.stack) }));
