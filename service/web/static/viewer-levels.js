// The levels of an image, fetched from the service and kept in memory: never in the browser's cache.

const TRIES = 6;
const KEPT = 6; // images in memory
const images = new Map();

/** An answer of the service that is not the image: `message` is a sentence for the person. */
export class ImageError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const refusal = async (answer) => {
  try {
    return (await answer.json()).error || "This image cannot be shown.";
  } catch {
    return answer.status === 401 ? "You are logged out." : "This image cannot be shown.";
  }
};

const fetched = async (url) => {
  for (let left = TRIES; ; left -= 1) {
    let answer;
    try {
      answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    } catch {
      if (left <= 1) throw new ImageError("The service does not answer.", 0);
      await pause(1000);
      continue;
    }
    if (answer.ok && !answer.redirected) return answer;
    if (answer.status !== 503 || left <= 1) throw new ImageError(await refusal(answer), answer.status);
    await pause(1000 * Number(answer.headers.get("Retry-After") || 1));
  }
};

/** Return the uint16 pixels of an encoded level: low bytes, then high bytes, of zigzag coded differences. */
export const unpack = (buffer, columns, rows) => {
  const bytes = new Uint8Array(buffer);
  const count = columns * rows;
  if (bytes.length !== 2 * count) throw new ImageError("The image arrived incomplete: reload the page.", 0);
  const pixels = new Uint16Array(count);
  for (let row = 0, at = 0; row < rows; row += 1) {
    let value = 0;
    for (let column = 0; column < columns; column += 1, at += 1) {
      const step = bytes[at] | (bytes[count + at] << 8);
      value = (value + ((step >>> 1) ^ -(step & 1))) & 0xffff;
      pixels[at] = value;
    }
  }
  return pixels;
};

/** An image of the service; what was fetched once is not fetched again. */
export class ServiceImage {
  #levels = new Map();

  constructor(base) {
    this.base = base;
    this.description = fetched(`${base}voi.json`).then((answer) => answer.json());
    this.description.catch(() => images.delete(base)); // so that the next view tries again
  }

  /** Return the pixels of a level, 0 the full size: `{number, columns, rows, pixels}`. */
  level(number) {
    if (!this.#levels.has(number)) {
      const loading = this.#load(number);
      loading.catch(() => this.#levels.delete(number));
      this.#levels.set(number, loading);
    }
    return this.#levels.get(number);
  }

  async #load(number) {
    // Side by side: the first picture must not wait for two answers one after the other.
    const body = fetched(`${this.base}levels/${number}`).then((answer) => answer.arrayBuffer());
    const [description, buffer] = await Promise.all([this.description, body]);
    const { columns, rows } = description.levels[number];
    return { number, columns, rows, pixels: unpack(buffer, columns, rows) };
  }
}

/** Return the image at a base address; the latest few stay in memory. */
export const imageAt = (base) => {
  const address = new URL(base, document.baseURI).href;
  const image = images.get(address) ?? new ServiceImage(address);
  images.delete(address);
  images.set(address, image);
  while (images.size > KEPT) images.delete(images.keys().next().value);
  return image;
};

/** Fetch the quarter and the half level of an image that will be opened next; a failure is ignored. */
export const prefetch = async (base) => {
  try {
    const image = imageAt(base);
    await image.level(2);
    await image.level(1);
  } catch {
    // It is fetched again, and its fault shown, when it is opened.
  }
};
