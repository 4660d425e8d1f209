"""Tile-parts of JPEG 2000 codestreams, written by OpenJPEG and changed."""

import struct

import pytest

from dicom.codestreams.jpeg2000 import check_packets
from dicom.errors import PixelError
from tests.dicom.codestreams.codings import IMAGE, jpeg2000

STREAM = jpeg2000(IMAGE[:64, :64].copy())
SOT = STREAM.index(b"\xff\x90")


def test_a_whole_codestream_is_accepted():
    """As written, and with a tile-part whose length is left open (A.4.2)."""
    check_packets(STREAM)
    check_packets(STREAM[: SOT + 6] + bytes(4) + STREAM[SOT + 10 :])


def with_tile(number):
    """Return the codestream with another number of its tile."""
    return STREAM[: SOT + 4] + struct.pack(">H", number) + STREAM[SOT + 6 :]


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (STREAM[:-2], "no end marker"),
        (STREAM[:-2] + b"\x00\x00", "no end marker"),
        (STREAM[: len(STREAM) // 2], "cut off"),
        (STREAM[:SOT] + b"\xff\xd9", "0 of its 1 tiles"),
        (STREAM[:SOT] + STREAM[SOT:-2] * 2 + b"\xff\xd9", "left after its last packet"),
        (STREAM[:SOT] + b"\x12\x34\x00\x04" + STREAM[SOT:], "main header"),
        (STREAM[:-200] + bytes(198) + STREAM[-2:], "damaged|cut off"),
    ],
)
def test_missing_and_additional_parts_are_refused(stream, problem):
    """Each message names what is missing or left over."""
    with pytest.raises(PixelError, match=problem):
        check_packets(stream)


def test_packets_in_another_order_are_not_examined():
    """With a changed progression order (POC) only the tile-parts are checked."""
    order = b"\xff\x5f\x00\x09" + bytes(7)
    check_packets(STREAM[:SOT] + order + STREAM[SOT:])


def test_a_header_without_coding_style_is_refused():
    """COD is required in the main header."""
    at = STREAM.index(b"\xff\x52")
    length = struct.unpack_from(">H", STREAM, at + 2)[0]
    with pytest.raises(PixelError, match="main header"):
        check_packets(STREAM[:at] + STREAM[at + 2 + length :])
