"""RLE segments written by hand (PS3.5 Annex G)."""

import struct

import numpy as np
import pytest

from dicom.codestreams.rle import decode_rle
from dicom.errors import PixelError


def frame(*segments, count=None, first=64):
    """Return an RLE frame of segments."""
    offsets = [first + sum(map(len, segments[:number])) for number in range(len(segments))]
    numbers = [len(segments) if count is None else count, *offsets]
    return struct.pack("<16L", *numbers, *[0] * (16 - len(numbers))) + b"".join(segments)


LITERAL = b"\x05\x01\x02\x03\x04\x05\x06"
REPEATED = b"\xfb\x07"  # 257 - 251 = 6 times


def test_runs_are_decoded():
    """A literal run, a repeated one, and the byte -128, which does nothing (G.3.2)."""
    assert decode_rle(frame(LITERAL), 2, 3, 8).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert decode_rle(frame(REPEATED), 2, 3, 8).tolist() == [[7, 7, 7], [7, 7, 7]]
    assert decode_rle(frame(b"\x80\xfe\x09\x80\x02\x01\x02\x03"), 1, 6, 8).tolist() == [
        [9, 9, 9, 1, 2, 3]
    ]


def test_the_most_significant_byte_comes_first():
    """A pixel of 16 bits is divided over two segments (G.2)."""
    cells = decode_rle(frame(LITERAL, REPEATED), 2, 3, 16)
    assert cells.dtype == np.uint16
    assert cells.tolist() == [[0x107, 0x207, 0x307], [0x407, 0x507, 0x607]]


def test_padding_after_a_segment_is_accepted():
    """A zero byte makes a segment even."""
    assert decode_rle(frame(LITERAL + b"\x00"), 2, 3, 8)[1, 2] == 6


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bytes(40), "header is cut off"),
        (frame(LITERAL, LITERAL), "2 RLE segments where 1"),
        (frame(LITERAL, first=32), "outside of the image"),
        (frame(LITERAL, first=10_000), "outside of the image"),
        (frame(LITERAL[:-1]), "fewer than 6 bytes"),
        (frame(b"\x04\x01\x02\x03\x04\x05"), "fewer than 6 bytes"),
        (frame(LITERAL + LITERAL), "more than 6 bytes"),
        (frame(b"\xf0\x01"), "more than 6 bytes"),
    ],
)
def test_damage_is_refused(data, problem):
    """Each message states the fault of the segments."""
    with pytest.raises(PixelError, match=problem):
        decode_rle(data, 2, 3, 8)
