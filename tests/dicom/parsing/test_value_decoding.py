"""Decimal strings with a decimal comma, or without a number in them: from file to frame."""

import struct

import numpy as np
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from dicom.errors import InvalidDataset
from dicom.phantom import as_dataset, draw
from dicom.pixels.frame import PixelLimits, load_frame
from dicom.reasons import Reason
from dicom.selection.image_selection import Rules, choose
from dicom.selection.local_files import describe
from dicom.study import Study

LIMITS = PixelLimits(max_pixels=2**20, max_bytes=2**24)
ADULTS = Rules(minimum_age_years=18, read_children=False)


@pytest.fixture
def written(tmp_path):
    """A function that writes a phantom whose decimal strings are these bytes; returns its path."""

    def write(**raw: bytes):
        dataset = as_dataset(draw(5, rows=256, columns=256), seed=5)
        stream = DicomBytesIO()
        stream.is_implicit_VR, stream.is_little_endian = False, True
        begin = 0
        # pydicom would write numbers of its own.
        for tag, value in sorted((Tag(keyword), value) for keyword, value in raw.items()):
            write_dataset(stream, dataset[begin:tag])
            stream.write(struct.pack("<HH2sH", tag.group, tag.element, b"DS", len(value)) + value)
            begin = tag + 1
        write_dataset(stream, dataset[begin:])
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.dcm"
        path.write_bytes(stream.getvalue())
        return path

    return write


@pytest.mark.parametrize(
    ("comma", "point"),
    [
        ({"RescaleSlope": b"2,0 "}, {"RescaleSlope": b"2.0 "}),
        ({"RescaleIntercept": b"-100,50 "}, {"RescaleIntercept": b"-100.50 "}),
        (
            {"WindowCenter": b"1200,5", "WindowWidth": b"1400,0"},
            {"WindowCenter": b"1200.5", "WindowWidth": b"1400.0"},
        ),
        (
            {"WindowCenter": b"1200,5\\900 ", "WindowWidth": b"1,4E3\\800 "},
            {"WindowCenter": b"1200.5\\900 ", "WindowWidth": b"1.4E3\\800 "},
        ),
    ],
)
def test_a_decimal_comma_gives_the_same_frame_as_a_point(written, comma, point):
    """Nothing is dropped, so nothing is noted either."""
    one, other = load_frame(written(**comma), LIMITS), load_frame(written(**point), LIMITS)
    assert np.array_equal(one.pixels, other.pixels)
    assert one.warnings == other.warnings


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": b"abc ", "WindowWidth": b"1400"},
        {"WindowCenter": b"1200", "WindowWidth": b"wide"},
        {"WindowCenter": b"1.200,5 ", "WindowWidth": b"1400"},
        {"WindowCenter": b"1200", "WindowWidth": b"14\0\x10"},
        {"WindowCenter": b"\xff\xfe", "WindowWidth": b"\xff\xfe"},
        {"WindowCenter": b"1_200 ", "WindowWidth": b"1400"},
    ],
)
def test_a_window_that_is_no_number_leads_to_a_note(written, window):
    """The image is shown in another way, and the draft notes it."""
    frame = load_frame(written(**window), LIMITS)
    assert "Window 1 is not given in numbers and was not used." in frame.warnings


def test_of_several_windows_the_readable_one_is_used(written):
    """The first is noted, the second shows the image."""
    frame = load_frame(written(WindowCenter=b"x\\2048", WindowWidth=b"1\\4096"), LIMITS)
    assert frame.warnings[:2] == (
        "Window 1 is not given in numbers and was not used.",
        "Shown with the window 2.",
    )


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", [b"one ", b"1\0\x10\0", b"1.000,0 ", b"1,0,0 ", b"1_0 "])
def test_an_unreadable_rescale_value_ends_as_unreadable(written, keyword, value):
    """Gray levels without it would be a guess; the reason names the attribute."""
    path = written(**{keyword: value})
    with pytest.raises(InvalidDataset, match=r"\(0028,105[23]\) cannot be read"):
        load_frame(path, LIMITS)
    instance = describe(path)
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    selection = choose(study, ADULTS, LIMITS)
    assert selection.reason is Reason.UNREADABLE
    assert "(0028,105" in selection.sentence
