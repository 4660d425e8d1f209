// How an image lies on the screen: a left–right flip, then quarter turns clockwise. Picture and overlay lie in
// one plane, which is turned as a whole; places in the image stay those of the stored image.

export const UPRIGHT = Object.freeze({ turns: 0, flipped: false });

const COSINE = [1, 0, -1, 0];
const SINE = [0, 1, 0, -1];

/** Return the orientation after `quarters` further turns to the right of what is on the screen. */
export const turnedBy = ({ turns, flipped }, quarters) => ({ turns: (turns + quarters + 4) % 4, flipped });

/** Return the orientation after what is on the screen was flipped left–right. */
export const flippedAcross = ({ turns, flipped }) => ({ turns: (4 - turns) % 4, flipped: !flipped });

/** Return the orientation after what is on the screen was flipped top–bottom. */
export const flippedDown = (orientation) => turnedBy(flippedAcross(orientation), 2);

export const isUpright = ({ turns, flipped }) => turns === 0 && !flipped;

/** Return the direction on the screen of a direction [x, y] in the plane. */
export const toScreen = ({ turns, flipped }, [x, y]) => {
  const across = flipped ? -x : x;
  return [COSINE[turns] * across - SINE[turns] * y, SINE[turns] * across + COSINE[turns] * y];
};

/** Return the direction in the plane of a direction [x, y] on the screen. */
export const toPlane = ({ turns, flipped }, [x, y]) => {
  const across = COSINE[turns] * x + SINE[turns] * y;
  return [flipped ? -across : across, COSINE[turns] * y - SINE[turns] * x];
};

/** Return the linear part of the CSS transform of the plane: [a, b, c, d] of `matrix()`. */
export const matrixOf = (orientation) => [...toScreen(orientation, [1, 0]), ...toScreen(orientation, [0, 1])];

/** Return the SVG transform that keeps text upright within the plane. */
export const uprightText = (orientation) => {
  const [a, b, c, d] = matrixOf(orientation);
  return `matrix(${a} ${c} ${b} ${d} 0 0)`;
};

/** Return where the corner of a plane of this size must be moved, so that the turned plane begins at 0, 0. */
export const cornerOf = (orientation, width, height) => {
  const [a, b, c, d] = matrixOf(orientation);
  return [-Math.min(0, a * width) - Math.min(0, c * height), -Math.min(0, b * width) - Math.min(0, d * height)];
};

const TURNS = ["", "rotated 90° right", "rotated 180°", "rotated 90° left"];

/** Return the state in words; "" for an image as stored. */
export const wordsOf = ({ turns, flipped }) => {
  if (flipped && turns === 2) return "flipped top–bottom";
  return [flipped ? "flipped left–right" : "", TURNS[turns]].filter(Boolean).join(", ");
};
