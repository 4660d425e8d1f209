"""The header of a codestream, read before a decoder allocates memory for it.

A decoder allocates by the size in the codestream, so this must agree with the DICOM header, whose
size was checked against the limits (PS3.5 8.2: the two shall be consistent). The codestream's frame
header, not the transfer syntax, also selects the decoder: many files carry another coding of the
JPEG family than their transfer syntax names.
"""

import re
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.uid import JPEG2000TransferSyntaxes, RLELossless

from dicom.errors import PixelError

# HTJ2K codestreams begin with the same SIZ segment (ISO/IEC 15444-15).
_HTJ2K: Final = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 203))
# SOF0..SOF15 without DHT, JPG and DAC (ISO/IEC 10918-1 B.1.1.3), and SOF55 of JPEG-LS.
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE_MARKERS: Final = frozenset(range(0xD0, 0xDA)) - {0xD9} | {0x01}

_FILL_BYTES: Final = re.compile(rb"\xff+")


class Coding(StrEnum):
    """The actual coding of a codestream, by its name in messages; the transfer syntax may differ."""

    SEQUENTIAL = "JPEG"
    PROGRESSIVE = "progressive JPEG"
    LOSSLESS = "lossless JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    RLE = "RLE"


# Arithmetic and hierarchical codings are not DICOM's, and nothing here proves them complete.
_CODINGS: Final = {
    0xC0: Coding.SEQUENTIAL,
    0xC1: Coding.SEQUENTIAL,
    0xC2: Coding.PROGRESSIVE,
    0xC3: Coding.LOSSLESS,
    0xF7: Coding.JPEG_LS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """What a codestream declares.

    Attributes:
        coding: Selects the decoder.
        rows: In pixels, as `columns`.
        components: 1 for a gray image.
        bits: Bits per sample.
        signed: Whether its samples are signed; only JPEG 2000 declares this.
    """

    coding: Coding
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False


def read_codestream(
    frame: bytes, transfer_syntax: str, *, rows: int, columns: int, bits_allocated: int
) -> Codestream:
    """Return what `frame` declares, after checking that it agrees with the DICOM header.

    Raises:
        PixelError: It has another size, depth, coding or number of components, or cannot be read.
    """
    if transfer_syntax == RLELossless:
        return Codestream(
            coding=Coding.RLE, rows=rows, columns=columns, components=1, bits=bits_allocated
        )
    wavelet = transfer_syntax in JPEG2000TransferSyntaxes or transfer_syntax in _HTJ2K
    try:
        found = _jpeg2000(frame) if wavelet else _jpeg(frame)
    except (struct.error, IndexError):
        raise PixelError("the compressed image has no readable frame header") from None
    if (found.rows, found.columns) != (rows, columns):
        raise PixelError(
            f"the compressed image is {found.rows} x {found.columns} pixels, "
            f"the header says {rows} x {columns}"
        )
    if found.components != 1:
        raise PixelError(f"the compressed image has {found.components} color components")
    if not 2 <= found.bits <= bits_allocated:
        raise PixelError(f"the compressed image has {found.bits} bits in {bits_allocated}")
    return found


def _jpeg(frame: bytes) -> Codestream:
    """Return what SOFn declares (ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2)."""
    if frame[:2] != b"\xff\xd8":
        raise PixelError("the compressed image is not a JPEG codestream")
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise PixelError("the compressed image has no readable frame header")
        marker = frame[at + 1]
        if marker == 0xFF:
            at = after_fill(frame, at)
        elif marker in _STANDALONE_MARKERS:
            at += 2
        elif marker in _FRAME_MARKERS:
            return _frame_header(frame, marker, at + 4)
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])


def after_fill(frame: bytes, at: int) -> int:
    """Return the offset of the last FF byte from `at` on; those before it are fill bytes (B.1.1.2)."""
    found = _FILL_BYTES.match(frame, at)
    return found.end() - 1 if found else at


def _frame_header(frame: bytes, marker: int, at: int) -> Codestream:
    bits, rows, columns, components = struct.unpack_from(">BHHB", frame, at)
    if marker not in _CODINGS:
        raise PixelError(
            f"the compressed image uses an unsupported JPEG process (SOF{marker & 15})"
        )
    return Codestream(
        coding=_CODINGS[marker], rows=rows, columns=columns, components=components, bits=bits
    )


def _jpeg2000(frame: bytes) -> Codestream:
    """Return what the SIZ segment declares (ISO/IEC 15444-1 A.5.1)."""
    at = jpeg2000_start(frame)
    right, bottom, left, top = struct.unpack_from(">4L", frame, at + 8)
    components, bits = struct.unpack_from(">HB", frame, at + 40)
    return Codestream(
        coding=Coding.JPEG_2000,
        rows=bottom - top,
        columns=right - left,
        components=components,
        bits=(bits & 0x7F) + 1,
        signed=bits >= 0x80,
    )


def jpeg2000_start(frame: bytes) -> int:
    """Return the offset of the JPEG 2000 codestream; some writers put JP2 boxes before it.

    Raises:
        PixelError: There is no codestream.
    """
    at = frame[:4096].find(b"\xff\x4f\xff\x51")
    if at < 0:
        raise PixelError("the compressed image is not a JPEG 2000 codestream")
    return at
