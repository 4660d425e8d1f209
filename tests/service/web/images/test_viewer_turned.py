"""A rotated or flipped image in headless Chromium: picture, letters, overlay and marks against numpy."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.service.web.images.test_viewer import (
    _MOUNT,
    body,
    expected,
    image,
    opened,
    place,
)

pytestmark = pytest.mark.browser

# Keys, what they do to the picture, and what the sign on the image states.
ORIENTATIONS = (
    ("v", lambda seen: np.rot90(seen, -1), "Rotated 90° right"),
    ("V", np.rot90, "Rotated 90° left"),
    ("vv", lambda seen: np.rot90(seen, 2), "Rotated 180°"),
    ("f", np.fliplr, "Flipped left–right"),
    ("F", np.flipud, "Flipped top–bottom"),
    ("vf", lambda seen: np.fliplr(np.rot90(seen, -1)), "Flipped left–right, rotated 90° left"),
    ("fv", lambda seen: np.rot90(np.fliplr(seen), -1), "Flipped left–right, rotated 90° right"),
)
LETTERS = np.array([["", "H", ""], ["R", "", "L"], ["", "F", ""]])
PATCH = (slice(40, 70), slice(150, 190))  # rows and columns of the bright part of the image

# The image at 1:1 in a stage that is wider than high, without what is written on it.
_READY = """
section.style.setProperty("--viewer-height", "340px");
for (const each of section.querySelectorAll(".viewer-letter, .viewer-label, .viewer-status")) {
  each.style.visibility = "hidden";
}
viewer.setRegions([{ finding: "f1", label: "Patch", points: arguments[0] }]);
window.marks = [];
section.addEventListener("viewer:mark", (event) => marks.push(event.detail.box));
"""
_TURN = """
const [keys, done] = arguments;
const key = (name) => document.body.dispatchEvent(
  new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
viewer.turned.style.visibility = "visible";
key("x");
const upright = viewer.turned.hidden && section.dataset.turned === "false";
for (const each of keys) key(each);
viewer.view = { x: viewer.image.columns / 2, y: viewer.image.rows / 2, scale: 1 };
viewer.fitted = false;
viewer.setHeat(""); // takes the image again
viewer.paint();
const ruler = viewer.overlay.addRuler();
ruler.set([10, 10], [60, 10], "10 mm");
viewer.paint();
const { a, b, c, d } = section.querySelector(".viewer-rulers text").getScreenCTM();
ruler.remove();
const box = viewer.stage.getBoundingClientRect();
const region = section.querySelector(".viewer-regions path").getBoundingClientRect();
const told = {
  upright, sign: viewer.turned.textContent, label: viewer.stage.getAttribute("aria-label"),
  letters: viewer.overlay.letters.map((each) => each.textContent),
  text: [a, b, c, d].map(Math.round), stage: [box.left, box.top, box.width, box.height],
  region: [region.left, region.top, region.right, region.bottom],
};
viewer.turned.style.visibility = "hidden";
requestAnimationFrame(() => requestAnimationFrame(() => done(told)));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this file."""
    with opened(tmp_path_factory.mktemp("browser")) as session:
        yield session


def drag(browser, start, end):
    """Press at a place of the window, move, release: a person's mouse."""
    steps = [
        {"type": "pointerMove", "x": round(start[0]), "y": round(start[1])},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerMove", "x": round(end[0]), "y": round(end[1]), "duration": 20},
        {"type": "pointerUp", "button": 0},
    ]
    mouse = {"type": "pointer", "id": "mouse", "actions": steps}
    browser.call("actions", actions=[{**mouse, "parameters": {"pointerType": "mouse"}}])


def on_screen(browser, stage):
    """Return the gray of the stage as the screen shows it, without its frame."""
    shot = np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L"))
    left, top, width, height = (round(each) for each in stage)
    return shot[top + 4 : top + height - 4, left + 4 : left + width - 4]


def bounds(mask):
    """Return [left, top, right, bottom] of the true part of a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("painter", ["canvas", "webgl2"])
def test_a_turned_image_is_the_stored_one_turned_and_says_so(make_site, browser, tmp_path, painter):
    """Each pixel; letters, regions and text follow; a mark is stored where it lies in the image."""
    pixels = body(600, 3000)
    pixels[PATCH] = 4095
    path = image(tmp_path, pixels, BitsStored=12, PatientOrientation=["L", "F"])
    upright, site = expected(dcmread(path)), make_site()
    browser.enter(site)
    mounted = browser.wait(_MOUNT, place(site, path, 1), painter, 420)
    assert mounted == {"failed": None, "painter": painter, "levels": 3}
    rows, columns = PATCH
    patch = [columns.start, rows.start, columns.stop, rows.stop]
    left, top, right, bottom = patch
    corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    browser.run(_READY, corners)
    for number, (keys, turn, words) in enumerate(ORIENTATIONS):
        told = browser.wait(_TURN, keys)
        want = turn(upright)
        seen = on_screen(browser, told["stage"])
        left, top, right, bottom = bounds(seen > 0)
        assert (right - left, bottom - top) == want.shape[::-1], keys
        assert np.abs(seen[top:bottom, left:right] - want).max() <= 1, keys
        letters = turn(LETTERS)
        sides = [letters[1, 0], letters[1, 2], letters[0, 1], letters[2, 1]]
        assert told["letters"] == sides, keys
        assert told["sign"] == f"{words}: not as stored (x resets it)"
        assert words.lower() in told["label"].lower()
        assert (told["upright"], told["text"]) == (True, [1, 0, 0, 1]), keys
        mask = np.zeros(upright.shape, bool)
        mask[PATCH] = True
        inner = np.array(bounds(turn(mask)), float)
        corner = np.array([left + 4 + told["stage"][0], top + 4 + told["stage"][1]] * 2)
        assert np.abs(np.array(told["region"]) - (inner + corner)).max() <= 1.5, keys
        browser.run("viewer.setTool('rectangle')")
        drag(browser, (inner + corner)[:2], (inner + corner)[2:])
        marks = browser.run("return marks")
        assert len(marks) == number + 1
        assert np.abs(np.array(marks[-1]) - patch).max() <= 1, keys
        browser.run("viewer.overlay.marks.replaceChildren()")
    assert [each for each in browser.faults() if "viewer" in each] == []


def test_arrows_follow_the_screen(make_site, browser, tmp_path):
    """Pan, a mark that is moved and one that is sized go to the right on the screen, however turned."""
    site = make_site()
    browser.enter(site)
    path = image(tmp_path, body(600, 3000), BitsStored=12)
    assert browser.wait(_MOUNT, place(site, path, 1), "canvas", 420)["failed"] is None
    for keys in ("", "v", "V", "vv", "f", "vf"):
        moved = browser.wait(
            """
const [keys, done] = arguments;
const key = (name, more = {}) => document.body.dispatchEvent(
  new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
const outline = () => section.querySelector(".viewer-drawing path").getBoundingClientRect();
key("x");
for (const each of keys) key(each);
viewer.zoomBy(3);
const seen = viewer.imagePoint([300, 200]);
key("ArrowRight");
viewer.paint();
const at = viewer.imagePoint([300 - 0.06 * viewer.stage.clientWidth, 200]);
const panned = Math.hypot(at[0] - seen[0], at[1] - seen[1]) * viewer.view.scale;
key("m");
const first = outline();
key("ArrowRight"); key("ArrowDown");
const second = outline();
key("ArrowRight", { shiftKey: true }); key("ArrowDown", { shiftKey: true });
const third = outline();
key("Escape");
done([
  panned <= 1,
  second.left > first.left && second.right > first.right && second.top > first.top,
  Math.abs(third.left - second.left) < 0.1 && third.right > second.right + 1
    && Math.abs(third.top - second.top) < 0.1 && third.bottom > second.bottom + 1,
]);
""",
            keys,
        )
        assert moved == [True, True, True], keys
