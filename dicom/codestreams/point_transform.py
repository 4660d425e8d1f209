"""Removal of the point transform from lossless JPEG images (ISO/IEC 10918-1 H.1.2.1).

The point transform drops the lowest bits of each sample. libjpeg starts such an image with a wrong
prediction, so it gets the image as one of fewer bits, which has the same codes.
"""

import struct
from typing import Final

from dicom.codestreams.image_header import after_fill

_SOF3, _SOS = 0xC3, 0xDA
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def without_point_transform(frame: bytes) -> tuple[bytes, int]:
    """Return the image with fewer bits per sample, and by how many bits to shift its samples up.

    Args:
        frame: A lossless codestream of one component that `check_scans` accepted.
    """
    precision, at = 0, 2
    while (marker := frame[at + 1]) != _SOS:
        if marker == _SOF3:
            precision = at + 4
        at = _after(frame, at)
    low = at + 9
    shift = frame[low] & 15
    if not 0 < shift < frame[precision]:
        return frame, 0
    changed = bytearray(frame)
    changed[precision] -= shift
    changed[low] = 0
    return bytes(changed), shift


def _after(frame: bytes, at: int) -> int:
    """Return the offset after the fill bytes, the marker or the segment at `at`."""
    if frame[at + 1] == 0xFF:
        return after_fill(frame, at)
    if frame[at + 1] in _STANDALONE:
        return at + 2
    return at + 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
