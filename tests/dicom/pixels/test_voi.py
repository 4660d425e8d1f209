"""Modality LUT, VOI LUT and windows (PS3.3 C.11), against pydicom's functions and the formulas."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence

from dicom.pixels.voi import (
    FULL_RANGE,
    LINEAR,
    LINEAR_EXACT,
    PERCENTILES,
    SIGMOID,
    Histogram,
    choose_voi,
    modality_values,
)

VALUES = np.arange(4096, dtype=np.float64)
EVEN = Histogram(values=VALUES, counts=np.ones(4096, dtype=np.int64))
RANGE = (0.0, 4095.0)


def header(**attributes) -> Dataset:
    """Return a header of 12 bits with these attributes, as if it had been read from a file."""
    made = Dataset()
    made.BitsStored, made.PixelRepresentation = 12, 0
    made.PhotometricInterpretation, made.SamplesPerPixel = "MONOCHROME2", 1
    made.set_original_encoding(False, True, "iso8859")
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def table(*entries: int, first: int = 0, bits: int = 8) -> Dataset:
    """Return the item of a lookup table."""
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", list(entries))
    return item


@pytest.mark.parametrize("function", [LINEAR, LINEAR_EXACT, SIGMOID])
@pytest.mark.parametrize(("center", "width"), [(2048, 3000), (1500.5, 2200.25)])
def test_a_window_gives_the_gray_levels_of_pydicom(function, center, width):
    """All three functions; pydicom scales to the range of the stored bits."""
    made = header(WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    choice = choose_voi(made, EVEN, RANGE)
    expected = apply_windowing(VALUES.astype(np.uint16), made) / 4095
    assert choice.voi.name == "window 1"
    assert np.abs(choice.voi.show(VALUES) - expected).max() < 1e-9


def test_a_voi_lut_is_used_before_a_window():
    """As pydicom does with `prefer_lut`; the window is offered as well."""
    made = header(WindowCenter=2048, WindowWidth=3000)
    ramp = np.linspace(0, 65535, 4096).astype(int).tolist()
    made.VOILUTSequence = Sequence([table(*ramp, bits=16)])
    choice = choose_voi(made, EVEN, RANGE)
    assert [each.name for each in choice.offered] == ["VOI LUT 1", "window 1"]
    expected = apply_voi_lut(VALUES.astype(np.uint16), made) / 65535
    assert np.abs(choice.voi.show(VALUES) - expected).max() < 1e-9


def test_a_window_beside_the_image_is_passed_over_with_a_reason():
    """The second window is used, and both are named."""
    made = header(WindowCenter=[9000, 2048], WindowWidth=[10, 3000])
    choice = choose_voi(made, EVEN, RANGE)
    assert choice.voi.name == "window 2"
    assert choice.warnings[0].startswith("The window 1 misses most of the image")
    assert choice.warnings[1] == "Shown with the window 2."


@pytest.mark.parametrize(
    ("width", "warned"),
    [(0, "has the width 0"), (-5, "has the width -5")],
)
def test_a_window_without_width_is_not_used(width, warned):
    """PS3.3 C.11.2.1.2: a LINEAR width is at least 1."""
    choice = choose_voi(header(WindowCenter=2048, WindowWidth=width), EVEN, RANGE)
    assert choice.offered == ()
    assert warned in choice.warnings[0]


def test_without_a_voi_the_full_range_or_the_percentiles_are_shown():
    """The full range if it has contrast; else 0.5 and 99.5 percent of the pixels."""
    assert choose_voi(header(), EVEN, RANGE).voi.name == FULL_RANGE
    narrow = Histogram(values=VALUES[:200], counts=np.ones(200, dtype=np.int64))
    choice = choose_voi(header(), narrow, RANGE)
    assert choice.voi.name == PERCENTILES
    shown = choice.voi.show(VALUES[:200])
    assert (shown[0], shown[-1]) == (0.0, 1.0)


def test_modality_values_are_those_of_the_table_or_of_the_rescale():
    """A Modality LUT holds its first and last entry outside; a rescale is linear."""
    lut = header(ModalityLUTSequence=Sequence([table(10, 20, 40, first=5)]))
    values, notes = modality_values(lut, np.array([0.0, 5.0, 6.0, 7.0, 99.0]), signed=False)
    assert (values.tolist(), notes) == ([10, 10, 20, 40, 40], ())
    rescaled = header(RescaleSlope="2", RescaleIntercept="-100")
    assert modality_values(rescaled, np.array([0.0, 50.0]), signed=False)[0].tolist() == [-100, 0]


def test_a_percentile_counts_pixels_not_values():
    """Nine of ten pixels have the value 7."""
    histogram = Histogram(values=np.array([7.0, 3000.0]), counts=np.array([9, 1]))
    assert histogram.percentile(50) == histogram.percentile(89) == 7
    assert histogram.percentile(99) == 3000
    assert histogram.extremes == (7, 3000)
