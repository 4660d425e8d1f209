"""A rescale or window that is no number or is implausible is refused or noted."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom.errors import PixelError
from dicom.phantom import as_dataset, draw, write
from dicom.pixels.frame import PixelLimits, load_frame
from dicom.pixels.rescale import rescale_of
from dicom.reasons import Reason
from dicom.selection.image_selection import Rules, choose
from dicom.selection.local_files import describe
from dicom.study import Study

LIMITS = PixelLimits(max_pixels=2**20, max_bytes=2**24)
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}


@pytest.fixture
def image(tmp_path):
    """A function: attributes -> the file of a phantom with them; None removes one."""

    def make(**tags):
        dataset = as_dataset(draw(5, rows=256, columns=256), seed=5)
        for keyword, value in tags.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
        return write(dataset, tmp_path / f"{len(list(tmp_path.iterdir()))}.dcm")

    return make


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nan", "is nan, which is not a finite number"),
        ("inf", "is inf, which is not a finite number"),
        ("-inf", "is -inf, which is not a finite number"),
        ("1e400", "is inf, which is not a finite number"),
        (["1", "2"], "has several values"),
    ],
)
def test_a_rescale_that_is_no_number_ends_as_unreadable(image, keyword, value, message):
    """Windows are made for the rescaled values: without the rescale they would show something else."""
    path = image(**{"RescaleSlope": "1", "RescaleIntercept": "0", keyword: value})
    with pytest.raises(PixelError, match=message):
        load_frame(path, LIMITS)
    instance = describe(path)
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    selection = choose(study, Rules(minimum_age_years=18, read_children=False), LIMITS)
    assert selection.reason is Reason.UNREADABLE
    assert message in selection.sentence


def test_a_rescale_beyond_any_number_ends_as_unreadable(image):
    """Each is finite, their result is not."""
    with pytest.raises(PixelError, match="give values that are not finite"):
        load_frame(image(RescaleSlope="1e305", RescaleIntercept="0"), LIMITS)


@pytest.mark.parametrize(
    ("slope", "intercept", "note"),
    [
        ("0", "5", "Rescale Slope is 0 and was ignored."),
        ("-0.0", "5", "Rescale Slope is 0 and was ignored."),
        ("1e-30", "5", "Rescale Slope 1e-30 gives all pixels the value of Rescale Intercept 5;"),
        (None, "5", "Rescale Slope is absent; 1 was assumed."),
        ("2", None, "Rescale Intercept is absent; 0 was assumed."),
        ("", "5", "Rescale Slope is absent; 1 was assumed."),
    ],
)
def test_a_rescale_that_cannot_be_meant_is_noted(image, slope, intercept, note):
    """The image is read without it, and the draft states it."""
    frame = load_frame(image(RescaleSlope=slope, RescaleIntercept=intercept), LIMITS)
    assert [each for each in frame.warnings if each.startswith(note)]
    assert np.isfinite(frame.pixels).all()
    assert np.ptp(frame.pixels) > 0.5


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [("1", "0"), (None, None), ("1", None), (["2", "2"], "-1024"), ("-1", "5")],
)
def test_a_plain_rescale_needs_no_note(slope, intercept):
    """Also a negative slope, and the same value given twice."""
    header = Dataset()
    header.RescaleSlope, header.RescaleIntercept = slope, intercept
    assert rescale_of(header).notes == ()


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        (WINDOW | {"WindowCenter": "inf"}, "Window 1 is not given in numbers and was not used."),
        (WINDOW | {"WindowWidth": "inf"}, "Window 1 is not given in numbers and was not used."),
        (WINDOW | {"WindowWidth": "nan"}, "Window 1 is not given in numbers and was not used."),
        (WINDOW | {"WindowWidth": "-5"}, "Window 1 has the width -5 and cannot be used."),
        (
            WINDOW | {"WindowWidth": None},
            "Window Center has 1 values and Window Width 0; those without a partner were not used.",
        ),
        (
            WINDOW | {"WindowCenter": ["2048", "900"]},
            "Window Center has 2 values and Window Width 1; those without a partner were not used.",
        ),
        (
            WINDOW | {"VOILUTFunction": "CUBIC"},
            "VOI LUT Function 'CUBIC' is unknown; LINEAR was used.",
        ),
    ],
)
def test_a_window_that_was_not_followed_is_noted(image, tags, note):
    """None of them is replaced without a note."""
    frame = load_frame(image(**({"WindowCenter": None, "WindowWidth": None} | tags)), LIMITS)
    assert note in frame.warnings


@pytest.mark.parametrize("function", ["", "LINEAR", "linear ", "SIGMOID", "LINEAR_EXACT"])
def test_a_function_of_the_standard_is_followed_without_a_note(image, function):
    """An empty one means LINEAR (PS3.3 C.11.2.1.2)."""
    frame = load_frame(image(**WINDOW, VOILUTFunction=function), LIMITS)
    assert not [each for each in frame.warnings if "VOI LUT Function" in each]


def test_an_unknown_pixel_representation_ends_as_unreadable(image):
    """Whether the highest bit is a sign cannot be guessed."""
    with pytest.raises(PixelError, match="Pixel Representation of the image is 2, neither 0 nor 1"):
        load_frame(image(PixelRepresentation=2), LIMITS)


@pytest.mark.parametrize("bits", [0, 7, 17])
def test_an_impossible_bits_stored_ends_as_unreadable(image, bits):
    """No depth is assumed in its place."""
    with pytest.raises(PixelError, match=f"pixels of {bits} bits in 16"):
        load_frame(image(BitsStored=bits), LIMITS)
