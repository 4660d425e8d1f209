"""Proof that a JPEG 2000 codestream is complete (ISO/IEC 15444-1 Annexes A and B).

Decoders read zeros as empty packets and skip leftover data. Therefore the tile-parts must follow each
other up to the end marker, and the packets of each tile must fill its tile-parts exactly. Packet bodies
are only searched for markers and long runs of one byte: a changed byte alters just its code-block.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

from dicom.codestreams.image_header import jpeg2000_start
from dicom.codestreams.jpeg2000_packets import pass_packets
from dicom.codestreams.jpeg2000_tiles import CodingStyle, TileGrid
from dicom.errors import PixelError

_SOT, _EOC = 0xFF90, 0xFFD9
_COD, _COC, _SOD = 0xFF52, 0xFF53, 0xFF93
# POC, PPM, PPT: another packet order, packet headers elsewhere; legal, but no known modality uses them.
_UNUSUAL: Final = frozenset({0xFF5F, 0xFF60, 0xFF61})
_SHORTEST: Final = 14  # SOT segment and SOD


@dataclass(slots=True)
class _Found:
    """The parts of a codestream.

    Attributes:
        grid: Its tiles.
        style: The coding style of its only component.
        bodies: Packet data of its tile-parts, by tile.
        unusual: Whether its packets are stored in a way that is not checked here.
    """

    grid: TileGrid
    style: CodingStyle
    bodies: dict[int, list[bytes]] = field(default_factory=dict)
    unusual: bool = False


def check_packets(frame: bytes) -> None:
    """Check that the tile-parts follow each other up to EOC, and that packets fill them exactly.

    For HTJ2K, packed packet headers and changed progression orders only the tile-parts are checked.

    Raises:
        LimitExceeded: There are more packets, precincts or code-blocks than any writer makes.
        PixelError: Data is missing, damaged or left over.
    """
    try:
        found, at = _read_main_header(frame)
        _read_tile_parts(frame, at, found)
    except (struct.error, ValueError, IndexError):
        raise PixelError("the compressed image is cut off: it has no end marker (EOC)") from None
    if len(found.bodies) != found.grid.tiles:
        raise PixelError(
            f"the compressed image has {len(found.bodies)} of its {found.grid.tiles} tiles"
        )
    if found.unusual or found.style.high_throughput:
        return
    for tile, parts in found.bodies.items():
        pass_packets(b"".join(parts), found.grid.bounds(tile), found.style)


def _read_main_header(frame: bytes) -> tuple[_Found, int]:
    """Return the content of the main header, and the offset of the first tile-part."""
    at = jpeg2000_start(frame) + 2
    grid, style, unusual = None, None, False
    while (marker := _number(frame, at)) not in {_SOT, _EOC}:
        length = _number(frame, at + 2)
        segment = frame[at + 4 : at + 2 + length]
        if marker < 0xFF00 or length < 2:
            raise PixelError("the main header of the compressed image is damaged")
        if grid is None:  # SIZ comes first
            grid = TileGrid.read(segment)
        elif marker == _COD:
            style = CodingStyle.read(segment)
        elif marker == _COC and style:
            style = style.changed(segment)
        unusual |= marker in _UNUSUAL
        at += 2 + length
    if grid is None or style is None:
        raise PixelError("the main header of the compressed image is damaged")
    return _Found(grid, style, unusual=unusual), at


def _read_tile_parts(frame: bytes, at: int, found: _Found) -> None:
    """Read tile-part after tile-part up to EOC (A.4.2)."""
    parts = 0
    while (marker := _number(frame, at)) == _SOT:
        tile, length = struct.unpack_from(">HL", frame, at + 4)
        end = at + length if length else frame.rindex(b"\xff\xd9")
        parts += 1
        if 0 < length < _SHORTEST or end > len(frame):
            raise PixelError(f"tile-part {parts} of the compressed image is cut off")
        found.bodies.setdefault(tile, []).append(_body(frame[at + 12 : end], found))
        at = end
    if marker != _EOC:
        raise PixelError(
            f"the compressed image is damaged: no end marker (EOC) follows its {parts} tile-parts"
        )


def _body(part: bytes, found: _Found) -> bytes:
    """Return the packet data after the header of a tile-part."""
    at = 0
    while (marker := _number(part, at)) != _SOD:
        found.unusual |= marker in {_COD, _COC, *_UNUSUAL}
        at += 2 + max(2, _number(part, at + 2))
    return part[at + 2 :]


def _number(frame: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", frame, at)[0])
