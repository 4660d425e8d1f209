"""A stored heat map as PNG (ISO/IEC 15948): one pixel a cell, which the browser interpolates."""

import base64
import binascii
import struct
import zlib
from typing import Final

from dicom.content.report import MOST_HEAT_CELLS, HeatGrid

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_RGBA: Final = (8, 6, 0, 0, 0)  # bit depth, color type, compression, filter, interlace
_COLOR: Final = bytes((255, 122, 0))


def heat_png(heat: HeatGrid) -> bytes:
    """Return RGBA [edge, edge]: one color, the more opaque the larger the share of the cell.

    Raises:
        ValueError: The stored cells do not fit the grid.
    """
    if not 1 <= heat.edge <= MOST_HEAT_CELLS:
        raise ValueError("the grid of the heat map has no valid size")
    try:
        shares = base64.b64decode(heat.cells, validate=True)
    except binascii.Error:
        raise ValueError("the cells of the heat map are not base64") from None
    if len(shares) != heat.edge**2:
        raise ValueError("the heat map does not have one share for each cell")
    rows = [shares[at : at + heat.edge] for at in range(0, len(shares), heat.edge)]
    # Each row begins with its filter: none.
    lines = [b"\0" + b"".join(_COLOR + bytes((share,)) for share in row) for row in rows]
    head = struct.pack(">II5B", heat.edge, heat.edge, *_RGBA)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
