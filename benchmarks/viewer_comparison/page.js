// The stack viewport of cornerstone that benchmarks/viewer_peers.py measures.
//
// Its image loader takes a level of our service, by the same decoder: so only the viewers differ.

import { Enums, RenderingEngine, imageLoader, init, metaData, setUseCPURendering, utilities } from "@cornerstonejs/core";
import { unpack } from "viewer-levels";

// {renderer, width, height, pixels, columns, rows, lower, upper, invert}
const asked = JSON.parse(new URLSearchParams(location.search).get("asked"));
const { columns, rows, lower, upper, invert } = asked;

const modules = {
  imagePixelModule: {
    bitsAllocated: 16, bitsStored: 16, highBit: 15, pixelRepresentation: 0, samplesPerPixel: 1,
    photometricInterpretation: invert ? "MONOCHROME1" : "MONOCHROME2",
  },
  generalSeriesModule: { modality: "DX" },
  imagePlaneModule: {
    rows, columns, rowPixelSpacing: 1, columnPixelSpacing: 1, rowCosines: [1, 0, 0], columnCosines: [0, 1, 0],
    imagePositionPatient: [0, 0, 0], imageOrientationPatient: [1, 0, 0, 0, 1, 0], frameOfReferenceUID: "1.2.3",
  },
};

const load = async (imageId) => {
  const answer = await fetch(asked.pixels);
  const pixels = unpack(await answer.arrayBuffer(), columns, rows);
  let [least, most] = [65535, 0];
  for (const value of pixels) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return {
    imageId, columns, rows, width: columns, height: rows, columnPixelSpacing: 1, rowPixelSpacing: 1,
    minPixelValue: least, maxPixelValue: most, slope: 1, intercept: 0, color: false, rgba: false, invert,
    windowCenter: (lower + upper + 1) / 2, windowWidth: upper - lower + 1, voiLUTFunction: "LINEAR",
    numberOfComponents: 1, sizeInBytes: pixels.byteLength, dataType: "Uint16Array", imageFrame: {},
    getPixelData: () => pixels,
  };
};

const show = async () => {
  init();
  setUseCPURendering(asked.renderer === "cpu");
  metaData.addProvider((type) => modules[type]);
  const element = document.getElementById("stage");
  element.style.width = `${asked.width}px`;
  element.style.height = `${asked.height}px`;
  const engine = new RenderingEngine("engine");
  engine.enableElement({ viewportId: "viewport", type: Enums.ViewportType.STACK, element });
  const viewport = engine.getViewport("viewport");
  const rendered = () => new Promise((done) => {
    element.addEventListener(Enums.Events.IMAGE_RENDERED, done, { once: true });
  });
  let painted = 0;
  imageLoader.registerImageLoader("level", (imageId) => ({
    promise: load(imageId).then((image) => {
      rendered().then(() => { painted = performance.now(); });
      return image;
    }),
  }));
  await viewport.setStack(["level:0"]);
  const last = rendered();
  viewport.setProperties({ voiRange: { lower, upper }, invert });
  viewport.render();
  await last;
  return {
    painted,
    setWindow(window) {
      const done = rendered();
      viewport.setProperties({ voiRange: window });
      viewport.render();
      return done;
    },
    canvas: () => viewport.getCanvas(),
    placeOf: (point) => viewport.worldToCanvas(utilities.imageToWorldCoords("level:0", point)),
  };
};

window.peer = show();
