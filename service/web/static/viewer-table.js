// The table from a 16-bit value to a gray level: rescale, VOI LUT or window (PS3.3 C.11.2.1.2, C.11.2.1.3),
// polarity, padding. The same table is used by both painters.

export const VALUES = 65536;

const clipped = (level) => (level < 0 ? 0 : level > 1 ? 1 : level);

const linear = (black, white) => {
  const span = white - black;
  return span > 0 ? (value) => clipped((value - black) / span) : (value) => (value > black ? 1 : 0);
};

const shower = (voi) => {
  const { center, width } = voi;
  switch (voi.function) {
    case "LUT": {
      const { entries, first } = voi;
      const top = 2 ** voi.bits - 1;
      const last = entries.length - 1;
      return (value) => clipped(entries[Math.max(0, Math.min(last, Math.round(value) - first))] / top);
    }
    case "SIGMOID":
      return (value) => 1 / (1 + Math.exp((-4 * (value - center)) / width));
    case "LINEAR_EXACT":
      return linear(center - width / 2, center + width / 2);
    default:
      return linear(center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2);
  }
};

/**
 * Fill the table of an image.
 *
 * `inverted` inverts what the image itself says about its polarity. Padding is black, as in the service's
 * own pictures.
 */
export const fillTable = (table, description, voi, inverted) => {
  const { slope, intercept, padding } = description;
  const negative = description.inverse !== inverted;
  const show = shower(voi);
  for (let value = 0; value < VALUES; value += 1) {
    const level = show(slope * value + intercept);
    table[value] = Math.floor((negative ? 1 - level : level) * 255 + 0.5);
  }
  if (padding !== null) table[padding] = 0;
  return table;
};

/** Return a window that is near to a VOI transformation, to start a drag from. */
export const asWindow = (voi) => {
  if (voi.function !== "LUT") return { ...voi };
  const top = 2 ** voi.bits - 1;
  const from = voi.entries.findIndex((entry) => entry >= 0.01 * top);
  const to = voi.entries.findIndex((entry) => entry >= 0.99 * top);
  const first = Math.max(from, 0);
  const last = to > first ? to : voi.entries.length - 1;
  const width = Math.max(1, last - first);
  return { name: "", function: "LINEAR_EXACT", center: voi.first + first + width / 2, width };
};

/** Return the range of modality values that 16-bit values of this image can have. */
export const rangeOf = (description) => {
  const whole = description.vois[description.vois.length - 1];
  return { center: whole.center, width: Math.max(1, whole.width) };
};
