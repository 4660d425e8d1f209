"""The heat map of a finding in headless Chromium: its place on the image, and the text."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from dicom.content.report import HeatGrid, Observation

pytestmark = [pytest.mark.browser, pytest.mark.serial]

ENTER = "\ue007"
SHOWN = "return document.getElementById('missing')?.textContent !== 'The image is not shown yet.'"
EDGE, ROWS, COLUMNS = 8, 120, 96
CELL = (6, 1)  # row and column of the only warm cell
SIZE = COLUMNS // EDGE
CENTER = ((CELL[1] + 0.5) * SIZE, (ROWS - COLUMNS) / 2 + (CELL[0] + 0.5) * SIZE)

# The gray of the canvas in a stage, as it is painted.
PAINTED = """
const { canvas } = document.viewer;
const copy = document.createElement("canvas");
copy.width = canvas.width; copy.height = canvas.height;
const context = copy.getContext("2d");
context.drawImage(canvas, 0, 0);
const colors = context.getImageData(0, 0, copy.width, copy.height).data;
let [count, x, y] = [0, 0, 0];
for (let at = 0; at < colors.length; at += 4) {
  if (colors[at] < 128) continue;
  count += 1; x += (at / 4) % copy.width; y += Math.floor(at / 4 / copy.width);
}
const box = document.querySelector("#viewer .viewer-stage").getBoundingClientRect();
return { center: [x / count, y / count], box: [box.left, box.top, box.right, box.bottom] };
"""


@pytest.fixture
def seeder(reading_site, seeder_of):
    """The object that fills the site's store."""
    return seeder_of(reading_site)


@pytest.fixture
def until(eventually):
    """A function that waits until a script returns something true in a person's page."""

    def wait(who, script, what, seconds=15):
        eventually(lambda: who.run(script), seconds=seconds, what=what)

    return wait


def heat():
    """Return a heat map with one warm cell, over the central square of the image."""
    cells = np.zeros((EDGE, EDGE), np.uint8)
    cells[CELL] = 255
    return HeatGrid(
        edge=EDGE,
        cells=base64.b64encode(cells.tobytes()).decode(),
        left=0.0,
        top=(ROWS - COLUMNS) / 2,
        size=float(COLUMNS),
    )


def seed(site, seeder, *, grid=None, cannot=()):
    """Return a drafted job whose image is bright exactly where the warm cell of the map is."""
    job = seeder.reading(1)
    (stored,) = site.store.spooled(job.study_instance_uid)
    dataset = dcmread(stored.path)
    pixels = np.zeros((ROWS, COLUMNS), "<u2")
    top = (ROWS - COLUMNS) // 2 + CELL[0] * SIZE
    pixels[top : top + SIZE, CELL[1] * SIZE : (CELL[1] + 1) * SIZE] = 4095
    dataset.Rows, dataset.Columns, dataset.PixelData = ROWS, COLUMNS, pixels.tobytes()
    dataset.save_as(stored.path, enforce_file_format=True)
    draft = seeder.draft_of(job)
    found = tuple(
        replace(each, heat=grid) if each.observation is Observation.CARDIOMEGALY else each
        for each in draft.findings
    )
    source = replace(draft.source, rows=ROWS, columns=COLUMNS)
    model = replace(draft.model, cannot=cannot)
    draft = replace(draft, findings=found, source=source, model=model)
    return site.store.draft(job.id, job.fence, draft, [seeder.result_object(job)], ("orthanc",))


def warm_center(who, box):
    """Return the center in the stage of the pixels that the heat map changes, and turn it off."""
    pictures = []
    for _ in range(2):
        pictures.append(np.asarray(Image.open(io.BytesIO(who.screenshot())).convert("RGB"), int))
        who.press("h")
    left, top, right, bottom = (round(each) for each in box)
    warm, cold = (each[top:bottom, left:right] for each in pictures)
    change = np.abs(warm - cold).sum(axis=2)
    change[change < 30] = 0
    rows, columns = np.indices(change.shape)
    return (columns * change).sum() / change.sum(), (rows * change).sum() / change.sum()


def test_the_heat_map_lies_on_its_place_at_every_zoom(reading_site, seeder, person, until):
    """The image is bright where the map is warm: both have one center on the screen, at each zoom."""
    job = seed(reading_site, seeder, grid=heat())
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    who.run("import('/static/viewer.js').then(({ viewerOf }) => {"
            " document.viewer = viewerOf(document.getElementById('viewer')); })")  # fmt: skip
    until(who, "return document.viewer?.levels.filter(Boolean).length === 3", "all levels")
    who.press("h")
    until(who, "return document.viewer.overlay.shows('heat')", "the heat map")
    who.run("document.getElementById('heat-legend').style.display = 'none'")
    x, y = CENTER
    for step, (offset, scale) in enumerate([(None, None), (6, 8), (-3, 11)]):
        if offset is not None:
            view = f"{{ x: {x + offset}, y: {y - offset}, scale: {scale} }}"
            who.run(f"document.viewer.view = {view}; document.viewer.paint();")
        painted = who.run(PAINTED)
        across, down = warm_center(who, painted["box"])
        # Chromium interpolates in steps of a sixteenth of a cell; two roundings add a pixel and a half.
        near = SIZE * who.run("return document.viewer.view.scale") / 16 + 1.5
        assert abs(across - painted["center"][0]) < near, (step, across, painted)
        assert abs(down - painted["center"][1]) < near, (step, down, painted)
    assert who.faults() == []


def test_the_legend_says_what_the_map_is_and_the_row_has_a_button(
    reading_site, seeder, person, until
):
    """H and the button of the row show the same map; the second press hides it with its legend."""
    job = seed(reading_site, seeder, grid=heat())
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    who.press(" ", "h")
    until(who, "return document.getElementById('heat-legend').textContent", "the legend")
    legend = who.text("#heat-legend")
    assert "Where the model's score for cardiomegaly comes from" in legend
    assert "Not a segmentation" in legend
    pressed = "return document.querySelector('.show-heat').getAttribute('aria-pressed')"
    assert who.run(pressed) == "true"
    who.run("document.querySelector('.show-heat').focus()")
    who.press(ENTER)
    assert (who.run(pressed), who.text("#heat-legend")) == ("false", "")
    assert who.run("return document.querySelectorAll('.show-heat').length") == 1
    assert who.faults() == []


def test_a_model_without_maps_says_so(reading_site, seeder, person, until):
    """H shows the reason in place of an empty map; no finding has a button."""
    job = seed(reading_site, seeder, cannot=("regions",))
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    who.press("h")
    assert who.text("#heat-legend") == "Tiny cannot show where in the image a finding comes from."
    assert who.run("return document.querySelector('.show-heat')") is None
    missing = reading_site.get(f"/jobs/{job.id}/heat/cardiomegaly.png")
    assert missing.status_code == 404
    assert who.faults() == []


def test_warnings_about_the_display_stand_below_the_image(reading_site, seeder, person, until):
    """An image that is marked for processing: the sentence of its description is on the page."""
    job = seed(reading_site, seeder)
    (stored,) = reading_site.store.spooled(job.study_instance_uid)
    dataset = dcmread(stored.path)
    dataset.PresentationIntentType = "FOR PROCESSING"
    dataset.save_as(stored.path, enforce_file_format=True)
    path = f"/studies/{job.study_instance_uid}/films/{stored.sop_instance_uid}/voi.json"
    warnings = reading_site.get(path).json()["warnings"]
    assert warnings
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    items = "document.querySelectorAll('#viewer .viewer-warnings li')"
    shown = f"return [...{items}].map((each) => each.textContent)"
    assert who.run(shown) == warnings
    assert who.faults() == []
