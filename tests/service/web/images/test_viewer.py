"""The picture that the viewer shows, measured in headless Chromium against numpy's PS3.3 C.11."""

import base64
import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom.identifiers import derived_uid
from dicom.study import Instance
from tests.browser import BrowserSession, chromedriver

pytestmark = pytest.mark.browser

PAINTERS = ("canvas", "webgl2")
STUDY = derived_uid("viewer test study", 1)

# Mounts a viewer of `side` CSS pixels and waits for all levels.
_MOUNT = """
const [base, renderer, side, done] = arguments;
(async () => {
  const { mountViewer } = await import("/static/viewer.js");
  window.section?.remove();
  window.section = document.createElement("section");
  section.style.width = `${side}px`;
  section.style.setProperty("--viewer-height", `${side}px`);
  document.body.prepend(section);
  let failed = null;
  section.addEventListener("viewer:failed", (event) => { failed = event.detail; });
  window.viewer = mountViewer(section, { base, renderer, label: "PA" });
  const until = performance.now() + 30000;
  while (!failed && viewer.levels.filter(Boolean).length < 3 && performance.now() < until) {
    await new Promise((go) => setTimeout(go, 20));
  }
  done({ failed, painter: section.dataset.painter, levels: viewer.levels.filter(Boolean).length });
})().catch((error) => done({ failed: String(error) }));
"""

# Returns the gray of the canvas as base64, and which image point its corner shows.
_PICTURE = """
const [scale] = arguments;
viewer.view = { x: viewer.image.columns / 2, y: viewer.image.rows / 2, scale };
viewer.paint();
const { width, height } = viewer.canvas;
const copy = document.createElement("canvas");
copy.width = width; copy.height = height;
const context = copy.getContext("2d", { willReadFrequently: true });
context.drawImage(viewer.canvas, 0, 0);
const colors = context.getImageData(0, 0, width, height).data;
let bytes = "";
for (let from = 0; from < colors.length; from += 4 * 8192) {
  const part = [];
  for (let at = from; at < Math.min(from + 4 * 8192, colors.length); at += 4) part.push(colors[at]);
  bytes += String.fromCharCode(...part);
}
const { left, top } = viewer.visible();
return { gray: btoa(bytes), width, height, left, top, level: Number(section.dataset.level) };
"""


@contextlib.contextmanager
def opened(folder: Path, *flags: str):
    """A browser with software WebGL for the duration of the block."""
    with chromedriver(folder) as driver:
        profile = folder / "profile"
        software = "--enable-unsafe-swiftshader"
        session = BrowserSession(driver, profile, "", "2300,2400", software, *flags)
        yield session
        session.quit()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this file."""
    with opened(tmp_path_factory.mktemp("browser")) as session:
        yield session


def place(site, path: Path, number: int) -> str:
    """Put a file into the site's spool; return the base address of its image."""
    uid = derived_uid("viewer test image", number)
    spooled = site.here.settings.spool_dir / f"{uid}.dcm"
    spooled.write_bytes(path.read_bytes())
    instance = Instance(
        sop_instance_uid=uid,
        sop_class_uid=DigitalXRayImageStorageForPresentation,
        series_instance_uid=derived_uid("viewer test series", 1),
        study_instance_uid=STUDY,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        path=spooled,
        digest=f"{number:064x}",
        size=spooled.stat().st_size,
    )
    site.store.add_instance(
        instance, calling_ae="MODALITY", association_id=f"a{number}", eligible=True
    )
    return f"/studies/{STUDY}/films/{uid}/"


def shown(browser, base: str, asked: str, size: tuple[int, ...], painter: str = "") -> None:
    """Mount a viewer that is large enough for the image, and wait for all of its levels."""
    mounted = browser.wait(_MOUNT, base, asked, max(128, *size) + 8)
    assert mounted == {"failed": None, "painter": painter or asked, "levels": 3}


def picture(browser, rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
    """Return the gray levels of the whole image on the screen, uint8 [rows, columns] of the level."""
    seen = browser.run(_PICTURE, scale)
    gray = np.frombuffer(base64.b64decode(seen["gray"]), np.uint8)
    gray = gray.reshape(seen["height"], seen["width"])
    left, top = round(-seen["left"] * scale), round(-seen["top"] * scale)
    return gray[top : top + rows, left : left + columns]


def c_11_2(values: np.ndarray, function: str, center: float, width: float) -> np.ndarray:
    """Return 0..1 by the formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    between = (values - (center - 0.5)) / (width - 1) + 0.5 if width > 1 else 0 * values
    return np.where(values <= low, 0.0, np.where(values > high, 1.0, between))


def expected(dataset: Dataset) -> np.ndarray:
    """Return the gray levels of a file by its own first VOI LUT or window: whole float64 [H, W]."""
    stored = dataset.pixel_array
    values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
    bits = dataset.BitsStored
    if "VOILUTSequence" in dataset:
        item = dataset.VOILUTSequence[0]
        top = 2 ** item.LUTDescriptor[2] - 1
        levels = apply_voi_lut(values.astype(np.int64), dataset, prefer_lut=True) / top
    elif "WindowCenter" in dataset:
        center, width = (
            float(np.atleast_1d(dataset[name].value)[0]) for name in ("WindowCenter", "WindowWidth")
        )
        levels = c_11_2(values, dataset.get("VOILUTFunction", "LINEAR"), center, width)
    else:
        levels = values / (2**bits - 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        levels = 1 - levels
    if "PixelPaddingValue" in dataset:
        levels = np.where(stored == dataset.PixelPaddingValue, 0.0, levels)
    return np.rint(levels * 255)


def image(tmp_path: Path, pixels: np.ndarray, **tags) -> Path:
    """Return the path of a DX image of `pixels`; `tags` override its attributes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.3"
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = pixels.tobytes()
    path = tmp_path / "image.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def body(low: int, high: int, dtype: str = "<u2") -> np.ndarray:
    """Return an image of odd size with a smooth body and grain, [301, 257]."""
    rows, columns = np.mgrid[0:301, 0:257] / 300
    smooth = 0.5 + 0.35 * np.sin(5 * rows) * np.cos(6 * columns) + 0.1 * (rows - columns)
    grain = np.random.default_rng(7).normal(0, 0.02, smooth.shape)
    return np.rint(low + (high - low) * np.clip(smooth + grain, 0, 1)).astype(dtype)


def _lut(bits: int) -> list[Dataset]:
    item = Dataset()
    entries = np.rint((2**bits - 1) * np.linspace(0, 1, 4096) ** 0.7).astype("<u2")
    item.add_new("LUTDescriptor", "US", [4096, 0, bits])
    item.add_new("LUTData", "OW", entries.tobytes())
    item.LUTExplanation = "Curve"
    return [item]


def _modality_lut() -> list[Dataset]:
    item = Dataset()
    entries = np.rint(4095 * np.linspace(0, 1, 4096) ** 1.5).astype("<u2")
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", entries.tobytes())
    item.ModalityLUTType = "US"
    return [item]


TWELVE = {"BitsStored": 12}
WIDE = {"WindowCenter": "2048", "WindowWidth": "4096"}
IMAGES = {
    "full range": (body(0, 4095), TWELVE),
    "monochrome1": (body(0, 4095), {**TWELVE, **WIDE, "PhotometricInterpretation": "MONOCHROME1"}),
    "signed": (body(-2000, 2000, "<i2"), {"WindowCenter": "0", "WindowWidth": "3000"}),
    "signed 16 bits": (body(-32768, 32767, "<i2"), {"WindowCenter": "0", "WindowWidth": "60000"}),
    "wide": (body(0, 65535), {"WindowCenter": "32768", "WindowWidth": "65536"}),
    "narrow": (body(1800, 2300), {**TWELVE, "WindowCenter": "2050", "WindowWidth": "300"}),
    "exact": (body(0, 4095), {**TWELVE, **WIDE, "VOILUTFunction": "LINEAR_EXACT"}),
    "sigmoid": (body(0, 4095), {**TWELVE, **WIDE, "VOILUTFunction": "SIGMOID"}),
    "voi lut": (body(0, 4095), {**TWELVE, "VOILUTSequence": _lut(12)}),
    "voi lut of 16 bits": (body(0, 4095), {**TWELVE, "VOILUTSequence": _lut(16)}),
    "rescale": (
        body(0, 4095),
        {**TWELVE, "RescaleSlope": "0.25", "RescaleIntercept": "-100", "RescaleType": "US"}
        | {"WindowCenter": "400", "WindowWidth": "900"},
    ),
    "falling rescale": (
        body(0, 4095),
        {**TWELVE, "RescaleSlope": "-1", "RescaleIntercept": "4095", "RescaleType": "US", **WIDE},
    ),
    "modality lut": (body(0, 4095), {**TWELVE, **WIDE, "ModalityLUTSequence": _modality_lut()}),
    "padding": (
        np.where(np.indices((301, 257))[1] < 40, 4095, body(10, 3900)).astype("<u2"),
        {**TWELVE, **WIDE, "PixelPaddingValue": 4095},
    ),
}


@pytest.mark.parametrize("painter", PAINTERS)
def test_phantoms_are_shown_by_the_standard(make_site, browser, tmp_path, painter):
    """Each kind of window, table, polarity, sign and padding is at most one gray level off at 1:1."""
    site = make_site()
    browser.enter(site)
    off = {}
    for number, (name, (pixels, tags)) in enumerate(IMAGES.items()):
        path = image(tmp_path, pixels, **tags)
        shown(browser, place(site, path, number), painter, pixels.shape)
        seen = picture(browser, *pixels.shape)
        off[name] = float(np.abs(seen - expected(dcmread(path))).max())
    assert max(off.values()) <= 1, json.dumps(off, indent=1)
    assert browser.faults() == []


@pytest.mark.parametrize("painter", PAINTERS)
def test_images_of_real_systems_are_shown_by_the_standard(make_site, browser, shared_data, painter):
    """Each of them is at most one gray level off, over the whole image at 1:1."""
    site = make_site()
    browser.enter(site)
    off = {}
    for number, path in enumerate(sorted((shared_data / "cxr-dicom").glob("*.dcm"))):
        dataset = dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        want = expected(dataset)
        shown(browser, place(site, path, number), painter, want.shape)
        off[path.name] = float(np.abs(picture(browser, *want.shape) - want).max())
    assert off
    assert max(off.values()) <= 1, json.dumps(off, indent=1)
    assert browser.faults() == []


@pytest.mark.parametrize("painter", PAINTERS)
def test_half_and_quarter_are_means_of_the_image(make_site, browser, tmp_path, painter):
    """At half and at quarter size the picture is the windowed box mean, padding left out."""
    site = make_site()
    browser.enter(site)
    pixels, tags = IMAGES["padding"]
    shown(browser, place(site, image(tmp_path, pixels, **tags), 1), painter, pixels.shape)
    means = pixels.astype(np.float64)
    means[pixels == 4095] = np.nan
    for scale in (0.5, 0.25):
        rows, columns = means.shape
        even = np.pad(means, ((0, rows % 2), (0, columns % 2)), mode="edge")
        parts = np.stack([even[down::2, right::2] for down in (0, 1) for right in (0, 1)])
        known = np.isfinite(parts)
        counts = known.sum(axis=0)
        means = np.where(
            counts, np.where(known, parts, 0).sum(axis=0) / np.maximum(counts, 1), np.nan
        )
        want = np.rint(np.nan_to_num(c_11_2(means, "LINEAR", 2048, 4096) * 255))
        # The last row and column are cut where the image has an odd size.
        seen = picture(browser, *want.shape, scale)[:-1, :-1]
        assert np.abs(seen - want[:-1, :-1]).max() <= 1


# Keys, pointers and the parts of a viewer, in one page; each result is returned by name.
_USE = """
const [done] = arguments;
(async () => {
  const { viewerOf, prefetch } = await import("/static/viewer.js");
  const tick = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  const key = (name, more = {}) => {
    const options = { key: name, bubbles: true, cancelable: true, ...more };
    document.body.dispatchEvent(new KeyboardEvent("keydown", options));
  };
  const drag = (points, more = {}) => {
    const box = viewer.stage.getBoundingClientRect();
    const send = (name, [x, y]) => viewer.stage.dispatchEvent(new PointerEvent(name, {
      clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true, button: 0,
      pointerType: "mouse", ...more,
    }));
    viewer.stage.setPointerCapture = () => {}; // no such pointer is pressed
    send("pointerdown", points[0]);
    for (const point of points.slice(1)) send("pointermove", point);
    send("pointerup", points[points.length - 1]);
  };
  const events = {};
  for (const name of ["viewer:mark", "viewer:tool"]) {
    section.addEventListener(name, (event) => { events[name] = event.detail; });
  }
  const scale = viewer.view.scale;
  const out = { same: viewerOf(section) === viewer, scale };
  key("1"); out.actual = viewer.view.scale;
  key("0"); out.fit = viewer.view.scale === scale;
  key("+"); out.zoomed = viewer.view.scale > scale;
  const x = viewer.view.x;
  key("ArrowRight"); out.panned = viewer.view.x > x;
  const width = viewer.voi.width;
  key("ArrowRight", { shiftKey: true }); out.wider = viewer.voi.width > width;
  drag([[50, 50], [90, 50]]); out.dragged = viewer.voi.width > width * 1.05;
  key("i"); out.inverted = viewer.inverted;
  key("w"); out.preset = viewer.shown;
  key("o"); out.regions = getComputedStyle(section.querySelector(".viewer-regions g")).visibility;
  key("o"); out.hidden = getComputedStyle(section.querySelector(".viewer-regions g")).visibility;
  key("h"); out.bare = viewer.overlay.shows("heat");
  viewer.setHeat("/static/icon.svg");
  key("h"); out.heat = viewer.overlay.shows("heat");
  key("h"); out.cold = viewer.overlay.shows("heat");
  viewer.reset();
  viewer.fit();
  viewer.setTool("ruler");
  drag([[20, 20], [20, 60], [20, 120]]);
  out.ruler = section.querySelector(".viewer-rulers text").textContent;
  viewer.setTool("rectangle");
  drag([[30, 40], [60, 70], [90, 100]]);
  out.mark = events["viewer:mark"];
  out.tool = events["viewer:tool"].tool;
  key("m"); key("m"); key("ArrowRight"); key("Enter");
  out.ellipse = events["viewer:mark"].shape;
  const text = document.body.appendChild(document.createElement("textarea"));
  const before = viewer.view.scale;
  text.dispatchEvent(new KeyboardEvent("keydown", { key: "1", bubbles: true }));
  key("1", { isComposing: true }); key("1", { ctrlKey: true });
  out.quiet = viewer.view.scale === before;
  text.remove();
  const sentence = document.body.appendChild(document.createElement("span"));
  sentence.dataset.finding = "f1"; sentence.tabIndex = 0;
  sentence.focus();
  const region = section.querySelector(".viewer-regions g");
  out.lit = region.classList.contains("finding-on") && getComputedStyle(region).visibility;
  sentence.blur();
  out.unlit = region.classList.contains("finding-on");
  region.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  out.back = sentence.classList.contains("finding-on");
  sentence.remove();
  const place = [40, 40];
  const point = viewer.imagePoint(place);
  viewer.stage.dispatchEvent(new WheelEvent("wheel", {
    deltaY: -300, bubbles: true, cancelable: true,
    clientX: viewer.stage.getBoundingClientRect().left + 40,
    clientY: viewer.stage.getBoundingClientRect().top + 40,
  }));
  const after = viewer.imagePoint(place);
  out.anchored = Math.hypot(after[0] - point[0], after[1] - point[1]) * viewer.view.scale;
  viewer.setMagnifier(true);
  viewer.magnify([60, 60]);
  out.lens = section.querySelector(".viewer-lens").width;
  section.style.width = "300px";
  await tick(); await tick();
  out.resized = viewer.canvas.width;
  await prefetch(viewer.options.base);
  done(out);
})().catch((error) => done({ error: String(error) }));
"""

_STRICTER = """
const policy = document.createElement("meta");
policy.httpEquiv = "Content-Security-Policy";
policy.content = "require-trusted-types-for 'script'; trusted-types 'none'";
document.head.append(policy);
"""


def test_a_person_works_with_the_image(make_site, browser, tmp_path):
    """Keys, drags, ruler, marks, regions, magnifier; under Trusted Types, without one violation."""
    site = make_site()
    browser.enter(site)
    browser.run(_STRICTER)
    pixels, tags = IMAGES["monochrome1"]
    path = image(tmp_path, pixels, **tags, ImagerPixelSpacing=["0.2", "0.2"])
    shown(browser, place(site, path, 1), "canvas", pixels.shape)
    points = [[10, 10], [60, 10], [60, 90], [10, 10]]
    browser.run(
        "viewer.setRegions(arguments[0])", [{"finding": "f1", "label": "Heart", "points": points}]
    )
    did = browser.wait(_USE)
    mark = did.pop("mark")
    assert mark["shape"] == "rectangle"
    assert mark["points"][0] == mark["points"][-1]
    assert len(mark["points"]) == 5
    assert did.pop("anchored") <= 1
    # 100 CSS pixels of 0.2 mm, at the scale that fits the image into the stage.
    assert did.pop("ruler") == f"{100 / did.pop('scale') * 0.2:.1f} mm at detector"
    assert did == {
        "same": True,
        "actual": 1,
        "fit": True,
        "zoomed": True,
        "panned": True,
        "wider": True,
        "dragged": True,
        "inverted": True,
        "preset": 1,
        "regions": "visible",
        "hidden": "hidden",
        "bare": False,
        "heat": True,
        "cold": False,
        "tool": None,
        "ellipse": "ellipse",
        "quiet": True,
        "lit": "visible",
        "unlit": False,
        "back": True,
        "lens": 220,
        "resized": 300,
    }
    # The page around the viewer has a script of its own.
    assert [each for each in browser.faults() if "/viewer" in each] == []


def test_a_lost_context_is_restored(make_site, browser, tmp_path):
    """The picture after a lost and restored WebGL context is the one before."""
    site = make_site()
    browser.enter(site)
    pixels, tags = IMAGES["narrow"]
    shown(browser, place(site, image(tmp_path, pixels, **tags), 1), "webgl2", pixels.shape)
    before = picture(browser, *pixels.shape)
    browser.wait(
        """
const [done] = arguments;
const lose = viewer.painter.gl.getExtension("WEBGL_lose_context");
viewer.canvas.addEventListener("webglcontextrestored", () => setTimeout(() => done(true), 50));
lose.loseContext();
setTimeout(() => lose.restoreContext(), 100);
"""
    )
    assert np.array_equal(picture(browser, *pixels.shape), before)
    assert before.max() > before.min()


def test_without_webgl_and_without_graphics_processor_canvas_is_used(
    make_site, browser, tmp_path, tmp_path_factory
):
    """Hospital desktops have neither: the viewer detects that by itself."""
    site = make_site()
    pixels, tags = IMAGES["narrow"]
    base = place(site, image(tmp_path, pixels, **tags), 1)
    browser.enter(site)
    shown(browser, base, "auto", pixels.shape, "canvas")
    folder = tmp_path_factory.mktemp("without")
    with opened(folder, "--disable-webgl", "--disable-3d-apis") as bare:
        bare.enter(site)
        shown(bare, base, "auto", pixels.shape, "canvas")
        seen = picture(bare, *pixels.shape)
        assert np.abs(seen - expected(dcmread(tmp_path / "image.dcm"))).max() <= 1
        assert bare.faults() == []


def test_an_image_that_cannot_be_shown_states_why(make_site, browser, tmp_path):
    """The message is shown in place of the image, and the page gets the event."""
    site = make_site()
    browser.enter(site)
    pixels, tags = IMAGES["narrow"]
    path = image(tmp_path, pixels, **tags)
    path.write_bytes(path.read_bytes()[:-5000])
    mounted = browser.wait(_MOUNT, place(site, path, 1), "canvas", 300)
    assert mounted["failed"]["status"] == 422
    assert mounted["failed"]["message"].startswith("This image cannot be shown: ")
    assert browser.run("return viewer.message.textContent") == mounted["failed"]["message"]
    assert browser.run("return section.dataset.state") == "failed"
