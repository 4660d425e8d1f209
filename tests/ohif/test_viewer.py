"""What a radiologist sees in OHIF: every series opens, the text is shown, the boxes lie right.

Pictures of each step are kept in build/ohif/seen.
"""

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmwrite

from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Presence,
    Region,
    Side,
    SourceImage,
)
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from dicom.results.not_analysed import UnreadImage, UnreadStudy, build_not_analysed
from dicom.results.outputs import Equipment, build, encode
from dicom.selection.local_files import describe
from dicom.study import Study
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.reading.reader import Reader

pytestmark = [pytest.mark.ohif, pytest.mark.browser, pytest.mark.slow]

SEEN = Path(__file__).parents[2] / "build" / "ohif" / "seen"
EQUIPMENT = Equipment(
    device_uid="2.25.9", software_version="0.1.0", institution_name="Klinikum Süd"
)
THUMBNAILS = "[data-cy^=study-browser-thumbnail]"
PANE = "document.querySelector('[data-cy=viewport-pane]')"
# The viewer's mark of a structured report.
REPORT_SHOWN = f"Boolean({PANE}?.innerText.split('\\n').includes('SR'))"
CLOSE_TOUR = (
    "const b = [...document.querySelectorAll('button')].find(b => b.textContent == 'Skip all');"
    "if (b) b.click(); return Boolean(b)"
)
# Rounding of a position to the screen's pixels, and half of the line's width.
TOLERANCE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A study in the archive: its image as it is to be shown, its truths, its annotated image."""

    study_uid: str
    pixels: np.ndarray
    boxes: list[tuple[float, float, float, float]]
    overlay: np.ndarray


def box_of(mask):
    """Return left, top, right and bottom of a mask."""
    ys, xs = np.nonzero(mask)
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)


def finding_of(truth):
    """Return the finding of a truth, as a perfect model would state it."""
    left, top, right, bottom = box_of(truth.mask)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return Finding(
        observation=truth.observation,
        presence=Presence.PRESENT,
        side=truth.side,
        site=truth.site,
        sentence=f"There is {truth.observation.value}.",
        score=0.9,
        region=Region(points=corners),
    )


def drafted(phantom, image):
    """Return a draft about a phantom."""
    rows, columns = phantom.pixels.shape
    source = SourceImage(
        sop_instance_uid=image.SOPInstanceUID,
        sop_class_uid=image.SOPClassUID,
        series_instance_uid=image.SeriesInstanceUID,
        rows=rows,
        columns=columns,
    )
    found = tuple(finding_of(truth) for truth in phantom.truths)
    return DraftReport(
        study_instance_uid=image.StudyInstanceUID,
        source=source,
        revision=1,
        produced_at=datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC),
        findings_text=tuple(f.sentence for f in found) or ("The lungs are clear.",),
        impression_text=tuple(f.observation.value.capitalize() + "." for f in found),
        findings=found,
        model=ModelIdentity(name="CXR-LLaVA v2", version="2024-07", weights_sha256="ab" * 32),
    )


def unread(image):
    """Return the notice that an image of the study was not read."""
    lateral = UnreadImage(
        sop_instance_uid=image.SOPInstanceUID,
        sop_class_uid=image.SOPClassUID,
        series_instance_uid=image.SeriesInstanceUID,
        reason="it is a lateral view",
    )
    return UnreadStudy(
        study_instance_uid=image.StudyInstanceUID,
        images=(lateral,),
        reason="No image of the study is a frontal chest radiograph",
        revision=1,
        produced_at=datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC),
    )


def store(archive, phantom, image, *, notice=False, read=None):
    """Send an image and its results to the archive; return what the viewer must show.

    Args:
        archive: The archive that receives them.
        phantom: What is on the image.
        image: As an object.
        notice: Whether another image was not read.
        read: Draft and objects of a model, if it is not a perfect one.
    """
    shown = (phantom.pixels / (2**phantom.bits_stored - 1)).astype(np.float32)
    outputs = read.outputs if read else build(drafted(phantom, image), image, shown, EQUIPMENT)
    if notice:
        outputs += build_not_analysed(unread(image), image, EQUIPMENT)
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    for data in [buffer.getvalue(), *map(encode, outputs)]:
        httpx.post(f"{archive.url}/instances", content=data).raise_for_status()
    return Shown(
        study_uid=image.StudyInstanceUID,
        pixels=shown,
        boxes=[box_of(truth.mask) for truth in phantom.truths],
        overlay=outputs[2].dataset.pixel_array,
    )


@pytest.fixture(scope="module")
def ill(orthanc):
    """An image with two findings."""
    found = (
        PhantomFinding(observation=Observation.CARDIOMEGALY),
        PhantomFinding(observation=Observation.CONSOLIDATION, side=Side.RIGHT),
    )
    phantom = draw(7, rows=1024, columns=880, findings=found)
    return store(orthanc, phantom, as_dataset(phantom))


@pytest.fixture(scope="module")
def model_read(tmp_path_factory):
    """A phantom with two gross findings, and the service's results about it with the demo model."""
    found = (
        PhantomFinding(observation=Observation.CARDIOMEGALY, extent=0.8),
        PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT, extent=0.7),
    )
    phantom = draw(10, rows=1000, columns=900, findings=found)
    folder = tmp_path_factory.mktemp("read")
    instance = describe(write(as_dataset(phantom), folder / "image.dcm"))
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    settings = Settings(data_dir=folder, reading=Reading(model="demo"))
    reader = Reader.from_settings(settings)
    moment = datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC)
    return phantom, reader.read(study, revision=1, predecessor=None, produced_at=moment)


@pytest.fixture(scope="module")
def healthy(orthanc):
    """A wide negative image without any finding, and a notice that something was not read."""
    phantom = draw(8, rows=600, columns=900)
    image = as_dataset(phantom, photometric="MONOCHROME1")
    return store(orthanc, phantom, image, notice=True)


@pytest.fixture(scope="module")
def open_study(chromium, viewer_url):
    """A function that opens a study in the viewer, unless it is open, and returns the browser."""
    opened = []

    def go(study, series):
        if opened[-1:] != [study.study_uid]:
            open_page(chromium, f"{viewer_url}/viewer?StudyInstanceUIDs={study.study_uid}", series)
            opened.append(study.study_uid)
        return chromium

    return go


def open_page(browser, url, series):
    """Open a study and wait until all its series are listed and the first image is on the screen."""
    browser.open(url)
    browser.until(f"return document.querySelectorAll('{THUMBNAILS}').length == {series}")
    browser.until(f"return {PANE}?.innerText.includes('1/1')")
    skip_tour(browser)


def skip_tour(browser):
    """Close the viewer's introduction of a new profile; it may appear late or not at all."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        if browser.run(CLOSE_TOUR):
            return
        time.sleep(0.2)


def open_series(browser, description, shown):
    """Double-click the series whose description begins with `description` until its view is there.

    A list that moves while its pictures load, or an introduction that appears late, takes a click away.

    Args:
        browser: Has the study open.
        description: Start of the series' description.
        shown: A script's expression that is true once the series is in the viewport.
    """
    find = (
        f"const e = [...document.querySelectorAll('{THUMBNAILS}')]"
        ".find(e => e.textContent.includes(arguments[0]));"
        "e.scrollIntoView(); const r = e.getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + r.height / 2]"
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        browser.run(CLOSE_TOUR)
        browser.click(*browser.run(find, description), times=2)
        again = time.monotonic() + 10
        while time.monotonic() < again:
            if browser.run(f"return {shown}"):
                return
            time.sleep(0.2)
    pytest.fail(f"the viewer does not open {description!r}; {shown} stays false")


def shows(text):
    """Return the expression that is true once the open viewport holds `text`."""
    return f"Boolean({PANE}?.innerText.includes({json.dumps(text)}))"


def text_in(browser, text):
    """Return the text of the open viewport once it holds `text`."""
    script = f"const t = {PANE}?.innerText || ''; return t.includes(arguments[0]) ? t : ''"
    return browser.until(script, text)


def assert_alive(browser):
    """The viewer has not crashed: no error boundary on the console, none on the screen."""
    lines = browser.console()
    assert not [line for line in lines if "Error Boundary" in line]
    assert "Something went wrong" not in browser.run("return document.body.innerText")


def canvas_of(browser):
    """Return left, top, width and height of the picture's canvas on the screen."""
    script = f"const r = {PANE}.querySelector('canvas').getBoundingClientRect();"
    return tuple(browser.run(script + "return [r.x, r.y, r.width, r.height]"))


def fitted(size, canvas):
    """Return left, top and scale of a picture of (rows, columns) that is fitted into a canvas."""
    left, top, width, height = canvas
    scale = min(width / size[1], height / size[0])
    return left + (width - size[1] * scale) / 2, top + (height - size[0] * scale) / 2, scale


def outlines_on(browser, picture):
    """Return left, top, right and bottom of each outline on the open image, and a screenshot."""
    find = (
        f"[...{PANE}.querySelectorAll('svg.svg-layer polyline')].map(e => e.getAttribute('points'))"
    )
    browser.until(f"return {PANE}?.innerText.split('\\n').includes('SR')")
    # Outlines come with the first picture that is drawn after they were loaded, which may never be
    # requested: a small change of the window, undone at once, requests one.
    deadline = time.monotonic() + 30
    while len(lines := browser.run(f"return {find}")) < 2:
        assert time.monotonic() < deadline, "no outlines are drawn"
        browser.drag((820, 700), (830, 705))
        time.sleep(0.5)
    drawn = set()
    for line in lines:
        points = np.array(line.replace(",", " ").split(), float).reshape(-1, 2)
        drawn.add((*points.min(axis=0), *points.max(axis=0)))
    return drawn, browser.screenshot(picture)


def assert_drawn(drawn, study, boxes, canvas):
    """Each box of the image is on the screen, to the tolerance, and no other one."""
    left, top, scale = fitted(study.pixels.shape, (0, 0, *canvas[2:]))
    assert len(drawn) == len(boxes)
    for x0, y0, x1, y1 in boxes:
        box = (left + x0 * scale, top + y0 * scale, left + x1 * scale, top + y1 * scale)
        assert min(np.abs(np.subtract(box, other)).max() for other in drawn) <= TOLERANCE


def likeness(screen, picture, canvas, part):
    """Return how much the screen looks like a picture fitted into the canvas (1: identical).

    Args:
        screen: A screenshot, PNG.
        picture: [rows, columns] as it is to be shown.
        canvas: Left, top, width, height on the screen.
        part: Upper and lower end of the compared part, as fractions of the picture's height.
    """
    left, top, scale = fitted(picture.shape, canvas)
    rows, columns = (round(side * scale) for side in picture.shape)
    values = np.asarray(picture, np.float32)
    expected = np.asarray(Image.fromarray(values).resize((columns, rows), Image.Resampling.BOX))
    gray = np.asarray(Image.open(BytesIO(screen)).convert("L"), np.float32)
    seen = gray[round(top) : round(top) + rows, round(left) : round(left) + columns]
    begin, end = (round(rows * fraction) for fraction in part)
    return np.corrcoef(seen[begin:end].ravel(), expected[begin:end].ravel())[0, 1]


def test_the_draft_states_on_the_screen_what_it_is(open_study, ill):
    """The draft report opens as text; the warning, its reason and the findings can be read."""
    browser = open_study(ill, 4)
    open_series(browser, "AI DRAFT report", shows("UNVERIFIED AI DRAFT"))
    text = text_in(browser, "UNVERIFIED AI DRAFT - NOT FOR PRIMARY DIAGNOSIS.")
    browser.screenshot(SEEN / "draft-report.png")
    assert text.index("UNVERIFIED AI DRAFT") < text.index("There is cardiomegaly.")
    assert "AI draft. Requires verification by a radiologist." in text
    assert_alive(browser)


def test_boxes_lie_on_the_findings(open_study, ill):
    """Each box is drawn within two pixels of where the phantom's truth lies on the screen."""
    browser = open_study(ill, 4)
    open_series(browser, "AI findings", REPORT_SHOWN)
    drawn, screen = outlines_on(browser, SEEN / "findings.png")
    text_in(browser, "Certainty of Finding: 90.00 %")
    canvas = canvas_of(browser)
    assert_drawn(drawn, ill, ill.boxes, canvas)
    # The image itself lies where that calculation places it.
    assert likeness(screen, ill.pixels, canvas, (0.75, 1.0)) > 0.95
    assert_alive(browser)


def test_the_models_own_regions_lie_on_the_findings(open_study, orthanc, model_read):
    """The demo model's outline is drawn at its coordinates and lies on the phantom's finding."""
    phantom, read = model_read
    study = store(orthanc, phantom, as_dataset(phantom), read=read)
    regions = {one.observation: one.region for one in read.draft.findings if one.region}
    # Further outlines are the model's errors, not the drawing's; they must be drawn, too.
    assert regions.keys() >= {truth.observation for truth in phantom.truths}
    for truth in phantom.truths:
        x, y = np.mean(regions[truth.observation].points[:-1], axis=0)
        left, top, right, bottom = box_of(truth.mask)
        assert left <= x <= right
        assert top <= y <= bottom
    browser = open_study(study, 4)
    open_series(browser, "AI findings", REPORT_SHOWN)
    drawn, _ = outlines_on(browser, SEEN / "model-findings.png")
    text_in(browser, "Certainty of Finding")
    ends = [np.array(region.points) for region in regions.values()]
    boxes = [(*points.min(axis=0), *points.max(axis=0)) for points in ends]
    assert_drawn(drawn, study, boxes, canvas_of(browser))
    open_series(browser, "AI images", shows("1/2"))
    time.sleep(1.5)
    browser.screenshot(SEEN / "model-images.png")
    assert_alive(browser)


def test_the_annotated_image_is_legible(open_study, ill):
    """The annotated image fills the viewport undistorted, its text at the size that was drawn."""
    browser = open_study(ill, 4)
    open_series(browser, "AI images", shows("1/2"))
    text_in(browser, "AI images - NOT FOR DIAGNOSIS")
    time.sleep(1.5)
    screen = browser.screenshot(SEEN / "images.png")
    canvas = canvas_of(browser)
    gray = np.asarray(Image.fromarray(ill.overlay).convert("L"), np.float32)
    # Letters of the panel, the smallest on it, are 12 pixels high at 1280 pixels of width.
    assert fitted(gray.shape, canvas)[2] >= 0.6
    assert likeness(screen, gray, canvas, (0.2, 1.0)) > 0.97
    assert_alive(browser)


def test_a_study_without_any_finding_opens(open_study, healthy):
    """Findings without any region of their own crash no viewer; the image is shown as it should be."""
    browser = open_study(healthy, 5)
    open_series(browser, "Chest PA", shows("Chest PA"))
    time.sleep(1.5)
    screen = browser.screenshot(SEEN / "negative-film.png")
    assert likeness(screen, healthy.pixels, canvas_of(browser), (0.25, 0.9)) > 0.95
    # The analyzed region, which has no number, is not drawn.
    open_series(browser, "AI findings", REPORT_SHOWN)
    browser.screenshot(SEEN / "no-findings.png")
    assert_alive(browser)


def test_the_notice_of_a_study_that_was_not_read_is_readable(open_study, healthy):
    """Its text is on the screen: not analyzed, why, and that this is no normal report."""
    browser = open_study(healthy, 5)
    open_series(browser, "AI: NOT ANALYZED", shows("NOT ANALYZED"))
    text = text_in(browser, "NOT ANALYZED - NO AI RESULT.")
    browser.screenshot(SEEN / "not-analysed.png")
    assert "No image of the study is a frontal chest radiograph." in text
    assert "This is not a normal report." in text
    assert_alive(browser)


def test_boxes_are_drawn_at_once_with_the_configuration_for_it(chromium, drawing_viewer_url, ill):
    """With deploy/ohif/draw-sr-regions.js each opening shows the boxes, the mouse untouched."""
    url = f"{drawing_viewer_url}/viewer?StudyInstanceUIDs={ill.study_uid}"
    find = f"return [...{PANE}.querySelectorAll('svg.svg-layer polyline')].length"
    for _ in range(3):
        open_page(chromium, url, 4)
        open_series(chromium, "AI findings", REPORT_SHOWN)
        chromium.until(f"{find} == {len(ill.boxes)}", seconds=10)
    drawn, _ = outlines_on(chromium, SEEN / "findings-at-once.png")
    assert_drawn(drawn, ill, ill.boxes, canvas_of(chromium))
    assert_alive(chromium)


def test_the_crash_that_these_tests_look_for_is_seen(chromium, viewer_url, orthanc):
    """A measurement group without a region, which validation refuses, does crash the viewer."""
    phantom = draw(9, rows=320, columns=288)
    image = as_dataset(phantom)
    shown = np.zeros((320, 288), np.float32)
    findings = build(drafted(phantom, image), image, shown, EQUIPMENT)[1]
    group = next(
        item
        for item in findings.dataset.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    ).ContentSequence[0]
    group.ContentSequence = [i for i in group.ContentSequence if i.ValueType != "SCOORD"]
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    for data in (buffer.getvalue(), encode(replace(findings))):
        httpx.post(f"{orthanc.url}/instances", content=data).raise_for_status()
    open_page(chromium, f"{viewer_url}/viewer?StudyInstanceUIDs={image.StudyInstanceUID}", 2)
    open_series(chromium, "AI findings", "document.body.innerText.includes('Something went wrong')")
    assert [line for line in chromium.console() if "Error Boundary" in line]
