// Two painters that show a level of an image through the gray table: canvas 2D, and WebGL2.
//
// A view is {x, y, scale}: the image point at the center of the canvas, and device pixels per image pixel.

import { VALUES } from "./viewer-table.js";

const BLACK = 0xff000000;

/** Return the level number that a scale calls for: the smallest that need not be enlarged. */
export const wantedLevel = (scale) => (scale > 0.5 ? 0 : scale > 0.25 ? 1 : 2);

/** Return the level for a scale among the loaded ones. */
export const levelFor = (levels, scale) => {
  const wanted = wantedLevel(scale);
  for (const number of [wanted, wanted - 1, wanted - 2, wanted + 1, wanted + 2]) {
    if (levels[number]) return levels[number];
  }
  return null;
};

/** Return the image point at the canvas's upper left corner; image and device pixels start together. */
export const origin = (view, width, height) => {
  const left = view.x - width / 2 / view.scale;
  const top = view.y - height / 2 / view.scale;
  // Otherwise each pixel would be mixed from two at 1:1, 1:2 and 1:4.
  return { left: Math.round(left * view.scale) / view.scale, top: Math.round(top * view.scale) / view.scale };
};

export class CanvasPainter {
  kind = "canvas";

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.patch = document.createElement("canvas");
    this.patchContext = this.patch.getContext("2d", { alpha: false, willReadFrequently: true });
    this.colors = new Uint32Array(VALUES);
  }

  setTable(table) {
    for (let value = 0; value < VALUES; value += 1) {
      const gray = table[value];
      this.colors[value] = BLACK | (gray << 16) | (gray << 8) | gray;
    }
  }

  addLevel() {}

  paint(level, image, view) {
    const { width, height } = this.canvas;
    const { left, top } = origin(view, width, height);
    const size = 2 ** level.number; // image pixels in a pixel of the level
    const x0 = Math.max(0, Math.floor(left / size) - 1);
    const y0 = Math.max(0, Math.floor(top / size) - 1);
    const x1 = Math.min(level.columns, Math.ceil((left + width / view.scale) / size) + 1);
    const y1 = Math.min(level.rows, Math.ceil((top + height / view.scale) / size) + 1);
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, width, height);
    if (x1 <= x0 || y1 <= y0) return;
    this.#map(level, x0, y0, x1 - x0, y1 - y0);
    const step = size * view.scale;
    const fit = step < 1;
    this.context.imageSmoothingEnabled = step !== 1;
    this.context.imageSmoothingQuality = fit && step < 0.5 ? "medium" : "low";
    this.context.drawImage(
      this.patch, 0, 0, x1 - x0, y1 - y0,
      (x0 * size - left) * view.scale, (y0 * size - top) * view.scale, (x1 - x0) * step, (y1 - y0) * step,
    );
    this.#trim(image, left, top, view.scale);
  }

  /** Put the visible part of the level through the table. */
  #map(level, x0, y0, columns, rows) {
    if (this.data?.width !== columns || this.data.height !== rows) {
      this.data = new ImageData(columns, rows);
      this.out = new Uint32Array(this.data.data.buffer);
      this.patch.width = columns;
      this.patch.height = rows;
    }
    const { colors, out } = this;
    const { pixels } = level;
    for (let row = 0, to = 0; row < rows; row += 1) {
      let from = (y0 + row) * level.columns + x0;
      for (const end = to + columns; to < end; to += 1, from += 1) out[to] = colors[pixels[from]];
    }
    this.patchContext.putImageData(this.data, 0, 0);
  }

  /** Blacken what a level of odd size shows beyond the image. */
  #trim(image, left, top, scale) {
    const right = Math.round((image.columns - left) * scale);
    const bottom = Math.round((image.rows - top) * scale);
    const { width, height } = this.canvas;
    if (right < width) this.context.fillRect(Math.max(0, right), 0, width, height);
    if (bottom < height) this.context.fillRect(0, Math.max(0, bottom), width, height);
  }

  destroy() {}
}

const VERTEX = `#version 300 es
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }`;

// The pixels are put through the table before they are mixed: a mean of values is not the gray of the mean.
const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D pixels, grays;
uniform vec2 start, size, extent;
uniform float stride, canvasHeight;
out vec4 color;
float at(ivec2 place) {
  uint value = texelFetch(pixels, clamp(place, ivec2(0), ivec2(size) - 1), 0).r;
  return float(texelFetch(grays, ivec2(int(value & 255u), int(value >> 8u)), 0).r) / 255.0;
}
void main() {
  vec2 place = start + vec2(gl_FragCoord.x, canvasHeight - gl_FragCoord.y) * stride;
  if (any(lessThan(place, vec2(0.0))) || any(greaterThanEqual(place, extent))) {
    color = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  vec2 between = place - 0.5;
  ivec2 first = ivec2(floor(between));
  vec2 part = between - vec2(first);
  float upper = mix(at(first), at(first + ivec2(1, 0)), part.x);
  float lower = mix(at(first + ivec2(0, 1)), at(first + ivec2(1, 1)), part.x);
  color = vec4(vec3(mix(upper, lower, part.y)), 1.0);
}`;

const SOFTWARE = /swiftshader|llvmpipe|softpipe|basic render/i;

/** Return a WebGL2 context, or null where there is none, or only one that a processor emulates. */
const hardwareContext = (canvas, force) => {
  const context = canvas.getContext("webgl2", {
    alpha: false, antialias: false, depth: false, failIfMajorPerformanceCaveat: !force,
  });
  if (!context || force) return context;
  const debug = context.getExtension("WEBGL_debug_renderer_info");
  const name = context.getParameter(debug ? debug.UNMASKED_RENDERER_WEBGL : context.RENDERER);
  return SOFTWARE.test(String(name)) ? null : context;
};

export class WebglPainter {
  kind = "webgl2";

  constructor(canvas, context) {
    this.canvas = canvas;
    this.gl = context;
    this.textures = new Map();
    this.#build();
  }

  #build() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error("the shaders do not link");
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    const names = ["pixels", "grays", "start", "size", "extent", "stride", "canvasHeight"];
    this.places = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
    gl.uniform1i(this.places.pixels, 0);
    gl.uniform1i(this.places.grays, 1);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.activeTexture(gl.TEXTURE1);
    this.#texture(gl.R8UI, 256, 256);
    gl.activeTexture(gl.TEXTURE0);
  }

  #texture(format, width, height) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return texture;
  }

  setTable(table) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE1);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 256, 256, gl.RED_INTEGER, gl.UNSIGNED_BYTE, table);
    gl.activeTexture(gl.TEXTURE0);
  }

  addLevel(level) {
    const { gl } = this;
    this.textures.set(level.number, this.#texture(gl.R16UI, level.columns, level.rows));
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, 0, level.columns, level.rows, gl.RED_INTEGER, gl.UNSIGNED_SHORT, level.pixels,
    );
  }

  paint(level, image, view) {
    const { gl, places } = this;
    const { width, height } = this.canvas;
    const { left, top } = origin(view, width, height);
    const size = 2 ** level.number;
    gl.viewport(0, 0, width, height);
    gl.bindTexture(gl.TEXTURE_2D, this.textures.get(level.number));
    gl.uniform2f(places.start, left / size, top / size);
    gl.uniform2f(places.size, level.columns, level.rows);
    gl.uniform2f(places.extent, image.columns / size, image.rows / size);
    gl.uniform1f(places.stride, 1 / view.scale / size);
    gl.uniform1f(places.canvasHeight, height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Make program and textures again after the context was restored. */
  restore(levels) {
    this.textures.clear();
    this.#build();
    for (const level of levels) if (level) this.addLevel(level);
  }

  destroy() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** Return a painter for the canvas, and the canvas: another one where the first was spent on a try. */
export const makePainter = (canvas, image, renderer) => {
  const context = renderer === "canvas" ? null : hardwareContext(canvas, renderer === "webgl2");
  const most = context ? context.getParameter(context.MAX_TEXTURE_SIZE) : 0;
  if (context && Math.max(image.columns, image.rows) <= most) {
    try {
      return { canvas, painter: new WebglPainter(canvas, context) };
    } catch {
      // A driver that cannot link the shaders: canvas 2D shows the same picture.
    }
  }
  const flat = canvas.getContext("2d", { alpha: false }) ? canvas : canvas.cloneNode();
  if (flat !== canvas) canvas.replaceWith(flat);
  return { canvas: flat, painter: new CanvasPainter(flat) };
};
