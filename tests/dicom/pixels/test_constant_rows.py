"""Rows that were filled up because a part of the image is missing."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom.pixels.frame import load_frame
from tests.dicom.codestreams.codings import IMAGE, LIMITS, native, save


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8, 0.93])
def test_a_tail_of_zeros_in_native_pixels_is_reported(tmp_path, share):
    """An image whose rest was filled up with zeros is read with a note."""
    filled = IMAGE.copy()
    filled.reshape(-1)[int(share * filled.size) :] = 0
    assert "all zero" in native(tmp_path, filled).warnings[0]


@pytest.mark.parametrize("filling", [b"\xff", b"\xcd", b"\x55"])
def test_a_tail_of_another_value_is_reported(tmp_path, filling):
    """Other values than zero may fill up the missing part."""
    kept = IMAGE.tobytes()[: IMAGE.nbytes // 2]
    path = save(
        tmp_path / "n.dcm", ExplicitVRLittleEndian, kept + filling * (IMAGE.nbytes - len(kept))
    )
    assert "a part of the image is missing" in " ".join(load_frame(path, LIMITS).warnings)


def test_a_hole_in_native_pixels_is_reported(tmp_path):
    """A lost block that was filled with zeros is no collimation."""
    holed = IMAGE.copy()
    holed.reshape(-1)[IMAGE.size // 2 : IMAGE.size * 2 // 3] = 0
    assert "rows within the image" in native(tmp_path, holed).warnings[0]


def test_collimation_is_no_tail(tmp_path):
    """An image with black margins on all sides has no note."""
    collimated = np.zeros_like(IMAGE)
    collimated[30:-30, 20:-20] = IMAGE[30:-30, 20:-20]
    assert native(tmp_path, collimated).warnings == ()
