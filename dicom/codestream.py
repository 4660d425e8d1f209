"""What a compressed picture says of itself, read before a decoder allocates anything for it.

The codestream's own size decides what a decoder allocates, so it must agree with the header whose
size was checked against the limits (PS3.5 8.2: the two shall be consistent).
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pydicom.uid import JPEG2000TransferSyntaxes, RLELossless

from dicom.errors import LimitExceeded, PixelError

# HTJ2K codestreams begin with the same SIZ segment (ISO/IEC 15444-15).
_HTJ2K: Final = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 203))
# SOF0..SOF15 without DHT, JPG and DAC (ISO/IEC 10918-1 B.1.1.3), and SOF55 of JPEG-LS.
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE_MARKERS: Final = frozenset(range(0xD0, 0xDA)) - {0xD9} | {0x01}
# Bytes that an RLE segment may inflate to without being measured first.
_UNMEASURED: Final = 2**27


@dataclass(frozen=True, slots=True)
class Codestream:
    """The size that a codestream declares."""

    rows: int
    columns: int
    components: int
    bits: int


def check_codestream(
    frame: bytes, transfer_syntax: str, *, rows: int, columns: int, bits_allocated: int
) -> None:
    """Return when a decoder of `transfer_syntax` will make of `frame` what the header declares.

    Raises:
        PixelError: The codestream is of another size or kind, or cannot be read.
        LimitExceeded: It would inflate to more than the header declares.
    """
    if transfer_syntax == RLELossless:
        _check_rle(frame, rows * columns, bits_allocated // 8)
        return
    wavelet = transfer_syntax in JPEG2000TransferSyntaxes or transfer_syntax in _HTJ2K
    try:
        found = _jpeg2000(frame) if wavelet else _jpeg(frame)
    except (struct.error, IndexError):
        raise PixelError("the compressed picture has no readable frame header") from None
    if (found.rows, found.columns) != (rows, columns):
        raise PixelError(
            f"the compressed picture is {found.rows} x {found.columns} pixels, "
            f"the header says {rows} x {columns}"
        )
    if found.components != 1:
        raise PixelError(f"the compressed picture has {found.components} colour components")
    if found.bits > bits_allocated:
        raise PixelError(f"the compressed picture has {found.bits} bits in {bits_allocated}")


def _jpeg(frame: bytes) -> Codestream:
    """Return what SOFn says (ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2)."""
    if frame[:2] != b"\xff\xd8":
        raise PixelError("the compressed picture is not a JPEG codestream")
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise PixelError("the compressed picture has no readable frame header")
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE_MARKERS:
            at += 2
        elif marker in _FRAME_MARKERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return Codestream(rows, columns, components, bits)
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])


def _jpeg2000(frame: bytes) -> Codestream:
    """Return what the SIZ segment says (ISO/IEC 15444-1 A.5.1); some writers put JP2 boxes before."""
    at = frame[:4096].find(b"\xff\x4f\xff\x51")
    if at < 0:
        raise PixelError("the compressed picture is not a JPEG 2000 codestream")
    right, bottom, left, top = struct.unpack_from(">4L", frame, at + 8)
    components, bits = struct.unpack_from(">HB", frame, at + 40)
    return Codestream(bottom - top, right - left, components, (bits & 0x7F) + 1)


def _check_rle(frame: bytes, pixels: int, segments: int) -> None:
    """Check that each PackBits segment inflates to one byte for each pixel (PS3.5 G.3, G.5)."""
    if len(frame) < 64:
        raise PixelError("the RLE header is cut off")
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != segments:
        raise PixelError(f"the picture has {count} RLE segments where {segments} are declared")
    edges = [*offsets[:count], len(frame)]
    if edges[0] < 64 or edges != sorted(edges):
        raise PixelError("the RLE segments lie outside of the picture")
    for start, end in pairwise(edges):
        if 64 * (end - start) < pixels:
            raise PixelError("an RLE segment is too short for the picture")
        # Each two bytes of a dishonest segment inflate to 128, so a long one is measured first.
        if 64 * (end - start) > _UNMEASURED and _unpacked(frame, start, end) > 2 * pixels:
            raise LimitExceeded("an RLE segment inflates to more than the picture")


def _unpacked(frame: bytes, at: int, end: int) -> int:
    """Return how many bytes the PackBits segment at `at` inflates to (PS3.5 G.3.2)."""
    length = 0
    while at < end:
        head = frame[at]
        if head < 128:
            length += head + 1
            at += head + 2
        else:
            length += 257 - head if head > 128 else 0
            at += 2 if head > 128 else 1
    return length
