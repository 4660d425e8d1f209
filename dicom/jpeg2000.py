"""Proof that a JPEG 2000 codestream is whole as far as its tile-parts say (ISO/IEC 15444-1 Annex A)."""

import struct
from typing import Final

from dicom.codestream import jpeg2000_start
from dicom.errors import PixelError

_SOT, _SOD, _EOC = 0xFF90, 0xFF93, 0xFFD9
_SHORTEST: Final = 14  # SOT segment and SOD


def check_tile_parts(frame: bytes) -> None:
    """Return when the tile-parts follow each other up to EOC.

    Raises:
        PixelError: A tile-part is cut off, or none, or something else than EOC follows the last one.
    """
    try:
        at = _main_header_end(frame)
        parts = 0
        while (marker := _marker(frame, at)) == _SOT:
            (length,) = struct.unpack_from(">L", frame, at + 6)
            at = at + length if length else frame.rindex(b"\xff\xd9")
            parts += 1
            if 0 < length < _SHORTEST or at > len(frame):
                raise PixelError(f"tile-part {parts} of the compressed image is cut off")
    except (struct.error, ValueError):
        raise PixelError("the compressed image is cut off: it has no end marker (EOC)") from None
    if not parts or marker != _EOC:
        raise PixelError(
            f"the compressed image is damaged: no end marker (EOC) follows its {parts} tile-parts"
        )


def _main_header_end(frame: bytes) -> int:
    """Return where the first marker is that is not of the main header."""
    at = jpeg2000_start(frame) + 2
    while (marker := _marker(frame, at)) not in {_SOT, _EOC}:
        if marker < 0xFF00:
            raise PixelError("the main header of the compressed image is damaged")
        at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return at


def _marker(frame: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", frame, at)[0])
