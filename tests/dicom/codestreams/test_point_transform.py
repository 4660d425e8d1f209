"""The point transform is taken out of the header; the entropy-coded data stays."""

import pytest

from dicom.codestreams.point_transform import without_point_transform
from tests.dicom.codestreams.codings import IMAGE, lossless

STREAM = lossless(IMAGE[:16, :16])
SOF, SOS = STREAM.index(b"\xff\xc3"), STREAM.index(b"\xff\xda")


def transformed(shift, before=b""):
    """Return the codestream with a point transform, some bytes before the scan."""
    changed = bytearray(STREAM)
    changed[SOS + 9] = shift
    return bytes(changed[:SOS]) + before + bytes(changed[SOS:])


@pytest.mark.parametrize("before", [b"", b"\xff\xff", b"\xff\xfe\x00\x04\xff\xda"])
def test_an_image_of_fewer_bits_is_returned(before):
    """12 bits less 3; fill bytes and a comment that looks like a scan are passed."""
    changed, shift = without_point_transform(transformed(3, before))
    assert shift == 3
    assert changed[SOF + 4] == 9
    assert changed[SOS + len(before) + 9] == 0
    assert changed[SOS + len(before) + 10 :] == STREAM[SOS + 10 :]


@pytest.mark.parametrize("shift", [0, 12, 15])
def test_no_transform_and_an_impossible_one_change_nothing(shift):
    """A transform that leaves no bit is left to the decoder."""
    assert without_point_transform(transformed(shift)) == (transformed(shift), 0)
