"""From heat to a region: on the same anatomy, in the body, on the side that the text names, or none."""

import numpy as np
import pytest
from PIL import Image

from dicom.content.regions import closed_polygon
from dicom.content.report import Finding, Observation, Presence, Side, SourceImage
from dicom.phantom import PhantomFinding, draw
from workers.model.preprocess import center_square
from workers.model.prompts import IS_THERE
from workers.model.vlm import HeatMap
from workers.reading.content.finding_regions import NOTE, with_regions
from workers.reading.content.locating import central_square, in_body, locate

GRID = 8
SHAPES = [(300, 300), (320, 288), (288, 320), (900, 410), (211, 640)]
HEART = IS_THERE[Observation.CARDIOMEGALY.value]
FLUID = IS_THERE[Observation.PLEURAL_EFFUSION.value]


def gray(shape=(320, 288)):
    """An image of tissue all over, float32 in 0..1."""
    return np.full(shape, 0.5, np.float32)


def spot(row, column, grid=GRID):
    """A map that is warm in one cell and a little in the others."""
    heat = np.full((grid, grid), 0.05, np.float32)
    heat[row, column] = 1
    return HeatMap(heat)


def finding(observation=Observation.PLEURAL_EFFUSION, presence=Presence.PRESENT, side=None):
    """A finding of the text."""
    return Finding(observation=observation, presence=presence, side=side)


def middle(region):
    """The middle of a region, (column, row)."""
    return np.mean(region.points[:-1], axis=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_place_of_the_model_is_the_same_place_of_the_image(shape):
    """A point of the image maps to the same point of the square, to a pixel of the model."""
    size = 128
    square = central_square(*shape)
    for across, down in ((0.3, 0.4), (0.7, 0.8)):
        column, row = square.on_image(across, down)
        image = np.zeros(shape, np.uint8)
        image[int(row) - 2 : int(row) + 3, int(column) - 2 : int(column) + 3] = 255
        seen = np.asarray(center_square(Image.fromarray(image), size), float)
        rows, columns = np.indices(seen.shape) + 0.5
        weight = seen / seen.sum()
        assert (columns * weight).sum() == pytest.approx(across * size, abs=1.5)
        assert (rows * weight).sum() == pytest.approx(down * size, abs=1.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_region_surrounds_its_peak(shape):
    """It is a closed polygon inside the matrix, around the warmest cell and not much larger."""
    found = locate(spot(5, 2), gray(shape))
    assert found.region
    rows, columns = shape
    image = SourceImage(
        sop_instance_uid="1.2", sop_class_uid="1.2", series_instance_uid="1.2",
        rows=rows, columns=columns,
    )  # fmt: skip
    assert closed_polygon(found.region, image) == found.region.points
    square = central_square(rows, columns)
    center = square.on_image(2.5 / GRID, 5.5 / GRID)
    assert middle(found.region) == pytest.approx(center, abs=0.02 * square.edge)
    assert found.peak == pytest.approx(center, abs=0.02 * square.edge)
    xs, ys = np.array(found.region.points).T
    assert np.ptp(xs) < 2 * square.edge / GRID
    assert np.ptp(ys) < 2 * square.edge / GRID


def test_a_flat_map_shows_no_place():
    """Where the model looked everywhere, or nowhere, nothing is drawn."""
    assert locate(HeatMap(np.ones((GRID, GRID), np.float32)), gray()).region is None
    nowhere = locate(HeatMap(np.zeros((GRID, GRID), np.float32)), gray())
    assert (nowhere.peak, nowhere.region) == (None, None)


def test_half_an_image_is_no_place():
    """A region that would cover most of the image is not drawn, however warm."""
    heat = np.full((GRID, GRID), 0.01, np.float32)
    heat[2:7, 1:6] = 1
    assert locate(HeatMap(heat), gray()).region is None


def test_beside_the_body_is_no_place():
    """A peak in the air around a phantom is no finding; one in its heart or in a pneumothorax is."""
    air = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.LEFT, extent=0.9)
    phantom = draw(11, rows=512, columns=512, findings=(air,))
    frame = (phantom.pixels / (2**phantom.bits_stored - 1)).astype(np.float32)
    assert not in_body(frame, (2, 6))
    assert in_body(frame, (270, 300))
    rows, columns = np.nonzero(phantom.truths[0].mask)
    assert in_body(frame, (float(np.median(columns)), float(np.median(rows))))
    beside = np.zeros((48, 48), np.float32)
    beside[1, 0] = 1
    assert locate(HeatMap(beside), frame).region is None


@pytest.mark.parametrize(
    ("column", "side", "shown"),
    [
        (1, Side.RIGHT, True),
        (1, Side.LEFT, False),
        (6, Side.LEFT, True),
        (6, Side.RIGHT, False),
        (6, Side.BILATERAL, True),
        (6, None, True),
    ],
)
def test_a_region_lies_on_the_side_that_the_text_names(column, side, shown):
    """The patient's right is at the left of the image; a place on the other side is never drawn."""
    found = locate(spot(4, column), gray(), side)
    assert (found.region is not None) is shown
    assert found.contradicts is not shown


def test_the_middle_belongs_to_both_sides():
    """A place at the midline contradicts neither side."""
    heat = spot(4, 3)
    heat.cells[4, 4] = 1
    assert locate(heat, gray(), Side.LEFT).region
    assert locate(heat, gray(), Side.RIGHT).region


def test_findings_get_their_own_regions_and_one_legend():
    """Findings answered with yes are outlined, others are not; the draft explains the outlines."""
    given = (
        finding(Observation.CARDIOMEGALY),
        finding(side=Side.LEFT),
        finding(Observation.PNEUMOTHORAX, Presence.ABSENT),
    )
    heat = {HEART: spot(5, 4), FLUID: spot(6, 6)}
    findings, notes = with_regions(given, heat, gray())
    assert [bool(one.region) for one in findings] == [True, True, False]
    assert middle(findings[1].region)[0] > middle(findings[0].region)[0]
    assert notes == (NOTE,)


def test_a_place_on_the_wrong_side_is_reported_not_shown():
    """No region, and a sentence for the reader."""
    findings, notes = with_regions((finding(side=Side.RIGHT),), {FLUID: spot(6, 6)}, gray())
    assert findings[0].region is None
    (note,) = notes
    assert note.startswith(
        "The text states right pleural effusion, but the model located it on the other"
    )


def test_what_cannot_be_located_stays_without_a_region():
    """Absent findings, edema, unasked questions and short memory change nothing but the notes."""
    given = (
        finding(presence=Presence.ABSENT),
        finding(Observation.EDEMA),
        finding(Observation.FRACTURE),
    )
    everywhere = {question: spot(6, 6) for question in IS_THERE.values()}
    assert with_regions(given, everywhere, gray()) == (given, ())
    one = (finding(),)
    assert with_regions(one, {}, gray()) == (one, ())
    findings, notes = with_regions(one, {FLUID: None}, gray())
    assert findings == one
    assert notes == ("Not enough memory to locate pleural effusion in the image.",)


def test_a_bilateral_finding_with_one_outline_has_a_note():
    """The text states both sides and the outline shows one: the draft states it."""
    findings, notes = with_regions((finding(side=Side.BILATERAL),), {FLUID: spot(6, 6)}, gray())
    assert findings[0].region is not None
    assert notes == (
        "The text states bilateral pleural effusion: the outline shows one side only.",
        NOTE,
    )


def test_a_bilateral_finding_outlined_across_the_middle_has_no_such_note():
    """An outline that reaches into both halves shows both."""
    heat = spot(5, 2)
    heat.cells[5, 1:7] = 1.0
    findings, notes = with_regions((finding(side=Side.BILATERAL),), {FLUID: heat}, gray())
    assert findings[0].region is not None
    assert notes == (NOTE,)


def test_findings_without_an_outline_are_named_where_the_model_locates():
    """Edema is never outlined: if other findings may be, the draft states that it is not."""
    given = (finding(Observation.EDEMA), finding(Observation.FRACTURE, Presence.ABSENT), finding())
    _, notes = with_regions(given, {FLUID: spot(6, 6)}, gray(), locates=True)
    assert notes == (
        "No outline is drawn for edema. This does not mean absence.",
        NOTE,
    )
    _, alone = with_regions(given[:1], {}, gray(), locates=True)
    assert alone == notes[:1]
