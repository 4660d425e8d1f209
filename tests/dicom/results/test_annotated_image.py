"""The annotated image: the pixels, an outline around each region, a warning above."""

import numpy as np
import pytest

from dicom.content.report import Finding, Observation, Presence, Region
from dicom.errors import InvalidOutput
from dicom.results.annotated_image import overlay_image
from dicom.results.annotated_image_layout import STATE_COLORS, Layout

BOX = ((60.0, 60.0), (180.0, 60.0), (180.0, 200.0), (60.0, 200.0))


@pytest.fixture
def drawn(image_header, make_draft, equipment, shown_pixels):
    """A function that returns the annotated image of findings as uint8 [H, W, 3]."""
    header = image_header()

    def make(*findings, pixels=None):
        draft = make_draft(header, findings=findings)
        pixels = shown_pixels() if pixels is None else pixels
        return np.asarray(overlay_image(draft, pixels, equipment, draft.produced_at, long_edge=640))

    return make


def located(points=BOX, peak=None):
    """Return a present finding with a region."""
    return Finding(
        observation=Observation.EDEMA,
        presence=Presence.PRESENT,
        region=Region(points=points, peak=peak),
    )


def test_the_image_is_shown_at_its_place(drawn):
    """Dark at the left, bright at the right, gray everywhere."""
    left, top, width, height = Layout.of(300, 240, 640).image
    shown = drawn()[top : top + height, left : left + width].astype(int)
    assert np.ptp(shown, axis=2).max() == 0
    assert shown[:, 2].mean() < 10
    assert shown[:, -3].mean() > 245


def test_pixels_that_are_no_numbers_are_black(drawn, shown_pixels):
    """For example NaN of a damaged decoder."""
    pixels = shown_pixels()
    pixels[:] = np.nan
    left, top, width, height = Layout.of(300, 240, 640).image
    assert drawn(pixels=pixels)[top : top + height, left : left + width].max() == 0


def test_a_region_has_an_outline_and_its_inside_stays(drawn):
    """In the color of its state, on the border of the box only."""
    plain, marked = drawn().astype(int), drawn(located()).astype(int)
    layout = Layout.of(300, 240, 640)
    ((x0, y0), _, (x1, y1), _) = layout.on_canvas(BOX, 300, 240)
    changed = np.abs(marked - plain).max(axis=2) > 0
    inside = changed[int(y0) + 6 : int(y1) - 6, int(x0) + 6 : int(x1) - 6]
    assert not inside.any()
    middle = marked[round((y0 + y1) / 2), round(x0) - 2 : round(x0) + 3]
    assert np.abs(middle - np.array(STATE_COLORS[Presence.PRESENT])).max(axis=1).min() < 40


def test_a_peak_is_an_open_cross(drawn):
    """Its middle shows the image; a peak beyond the image is not drawn."""
    plain = drawn(located())
    crossed = drawn(located(peak=(120.0, 130.0)))
    ((x, y),) = Layout.of(300, 240, 640).on_canvas(((120.0, 130.0),), 300, 240)
    around = np.s_[int(y) - 12 : int(y) + 12, int(x) - 12 : int(x) + 12]
    assert not np.array_equal(plain[around], crossed[around])
    assert np.array_equal(plain[int(y), int(x)], crossed[int(y), int(x)])
    assert np.array_equal(plain, drawn(located(peak=(500.0, 130.0))))


def test_a_coordinate_that_is_no_number_is_an_error(drawn):
    """Nothing is drawn elsewhere instead."""
    with pytest.raises(InvalidOutput):
        drawn(located(((float("inf"), 1.0), (5.0, 1.0), (5.0, 5.0))))
