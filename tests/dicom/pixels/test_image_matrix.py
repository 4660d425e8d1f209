"""The image matrix that a header declares (PS3.3 C.7.6.3)."""

import pytest
from pydicom.dataset import Dataset

from dicom.errors import LimitExceeded, PixelError
from dicom.pixels.image_matrix import (
    declared_matrix,
    photometric_interpretation,
    whole_number,
)


def header(**changes):
    """Return a header of 12 bits in 16; None removes an attribute."""
    values = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 30,
        "Columns": 20,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        **changes,
    }
    dataset = Dataset()
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def test_a_plain_image():
    """The values as they are written."""
    matrix, warnings = declared_matrix(header(), 600)
    assert (matrix.rows, matrix.columns, matrix.samples) == (30, 20, 1)
    assert (matrix.bits_allocated, matrix.bits_stored, matrix.shift) == (16, 12, 0)
    assert (matrix.signed, matrix.photometric, matrix.planes) == (False, "MONOCHROME2", False)
    assert warnings == ()


@pytest.mark.parametrize(("high_bit", "shift"), [(15, 4), (13, 2), (11, 0), (None, 0)])
def test_high_bit_states_the_unused_bits_below(high_bit, shift):
    """PS3.5 8.1.1: the stored bits may lie above unused ones."""
    matrix, warnings = declared_matrix(header(HighBit=high_bit), 600)
    assert (matrix.shift, warnings) == (shift, ())


@pytest.mark.parametrize("high_bit", [10, 16, 0])
def test_an_impossible_high_bit_is_ignored_with_a_warning(high_bit):
    """Bits Stored counts."""
    matrix, (warning,) = declared_matrix(header(HighBit=high_bit), 600)
    assert matrix.shift == 0
    assert "High Bit contradicts Bits Stored" in warning


@pytest.mark.parametrize(("name", "planes"), [("RGB", 0), ("YBR_FULL", 1)])
def test_three_samples_of_eight_bits_may_be_gray(name, planes):
    """Whether they are is known when the pixels are read."""
    changed = header(
        PhotometricInterpretation=name,
        SamplesPerPixel=3,
        PlanarConfiguration=planes,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
    )
    matrix, _ = declared_matrix(changed, 600)
    assert (matrix.samples, matrix.planes) == (3, planes == 1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Rows": None, "PhotometricInterpretation": None}, "no pixel data"),
        ({"PhotometricInterpretation": None}, "MONOCHROME1 or MONOCHROME2"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in color"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "in color"),
        ({"SamplesPerPixel": 3}, "in color"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Rows": 0}, "0 x 20 pixels"),
        ({"Columns": None}, "no Columns"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits in 32"),
        ({"BitsStored": 7}, "7 bits in 16"),
        ({"BitsAllocated": 8}, "12 bits in 8"),
        ({"PixelRepresentation": 2}, "neither 0 nor 1"),
    ],
)
def test_what_is_no_gray_image_is_refused(changes, problem):
    """Before anything is allocated for it."""
    with pytest.raises(PixelError, match=problem):
        declared_matrix(header(**changes), 600)


def test_too_many_pixels_are_refused():
    """The limit is in pixels."""
    with pytest.raises(LimitExceeded, match="30 x 20 pixels, more than the 599"):
        declared_matrix(header(), 599)


def test_photometric_interpretation_of_careless_writers():
    """Up to a NUL, without spaces, in upper case."""
    assert photometric_interpretation(header(PhotometricInterpretation="monochrome1\0x")) == (
        "MONOCHROME1"
    )


def test_a_number_is_one_whole_number():
    """An absent or empty value is the default; several values are an error."""
    assert whole_number(header(NumberOfFrames="1"), "NumberOfFrames") == 1
    assert whole_number(header(), "NumberOfFrames", 1) == 1
    assert whole_number(header(NumberOfFrames=""), "NumberOfFrames", 1) == 1
    with pytest.raises(PixelError, match="not one number"):
        whole_number(header(NumberOfFrames=[1, 2]), "NumberOfFrames", 1)
