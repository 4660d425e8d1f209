"""The tiles, resolutions, precincts and code-blocks of a JPEG 2000 image (ISO/IEC 15444-1 Annex B)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

from dicom.errors import LimitExceeded, PixelError

_HIGH_THROUGHPUT: Final = 0x40
# Code-blocks usually have 64 x 64 pixels; with the smallest, 4 x 4, a radiograph would have a million.
_MAX_BLOCKS: Final = 2**18
# Bands of the lowest resolution, and of the others: 1 for horizontal, vertical high-pass (B.5).
_LOWEST: Final = ((0, 0),)
_OTHERS: Final = ((1, 0), (0, 1), (1, 1))


class Area(NamedTuple):
    """A rectangle; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


class Precinct(NamedTuple):
    """A precinct of one resolution.

    Attributes:
        order: Sort key of position-wise progressions: top and left on the reference grid, resolution.
        bands: Number of code-blocks of each band, across and down.
    """

    order: tuple[int, int, int]
    bands: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """The image and its tiles on the reference grid (A.5.1)."""

    image: Area
    tile: tuple[int, int]
    origin: tuple[int, int]

    @classmethod
    def read(cls, segment: bytes) -> Self:
        """Return the grid that a SIZ segment declares.

        Raises:
            PixelError: The declared grid is impossible.
            struct.error: It is too short.
        """
        right, bottom, left, top, width, height, x, y = struct.unpack_from(">8L", segment, 2)
        if not (width and height and x <= left < x + width and y <= top < y + height):
            raise PixelError("the tiles of the compressed image are damaged")
        return cls(image=Area(left, top, right, bottom), tile=(width, height), origin=(x, y))

    @property
    def across(self) -> int:
        """Number of tiles in a row."""
        return -(-(self.image.right - self.origin[0]) // self.tile[0])

    @property
    def tiles(self) -> int:
        """Number of all tiles."""
        return self.across * -(-(self.image.bottom - self.origin[1]) // self.tile[1])

    def bounds(self, number: int) -> Area:
        """Return the area of a tile within the image."""
        down, across = divmod(number, self.across)
        left = self.origin[0] + across * self.tile[0]
        top = self.origin[1] + down * self.tile[1]
        return Area(
            max(left, self.image.left),
            max(top, self.image.top),
            min(left + self.tile[0], self.image.right),
            min(top + self.tile[1], self.image.bottom),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingStyle:
    """The coding style of a component (A.6.1).

    Attributes:
        progression: 0 LRCP, 1 RLCP, 2 RPCL, 3 PCRL, 4 CPRL.
        layers: Number of quality layers.
        levels: Number of decomposition levels: how often the image was halved.
        block: Width and height of a code-block, as exponents of 2.
        flags: Code-block style.
        precincts: Width and height of a precinct by resolution, as exponents of 2.
    """

    progression: int
    layers: int
    levels: int
    block: tuple[int, int]
    flags: int
    precincts: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, segment: bytes) -> Self:
        """Return the style that a COD segment declares.

        Raises:
            IndexError, ValueError: It is too short.
            PixelError: The declared style is impossible.
        """
        style = cls(
            progression=segment[1],
            layers=segment[2] << 8 | segment[3],
            levels=0,
            block=(0, 0),
            flags=0,
            precincts=(),
        )
        return style._with(segment[5:], own_precincts=bool(segment[0] & 1))

    def changed(self, segment: bytes) -> Self:
        """Return this style with the changes of a COC segment (one byte of component index)."""
        return self._with(segment[2:], own_precincts=bool(segment[1] & 1))

    def _with(self, parameters: bytes, *, own_precincts: bool) -> Self:
        levels, across, down, flags = parameters[:4]
        sizes = parameters[5 : 6 + levels] if own_precincts else b"\xff" * (levels + 1)
        if levels > 32 or across > 8 or down > 8 or len(sizes) != levels + 1:
            raise PixelError("the coding style of the compressed image is damaged")
        return replace(
            self,
            levels=levels,
            block=(across + 2, down + 2),
            flags=flags,
            precincts=tuple((size & 15, size >> 4) for size in sizes),
        )

    @property
    def high_throughput(self) -> bool:
        """Whether it is HTJ2K (ISO/IEC 15444-15), whose packet headers differ."""
        return bool(self.flags & _HIGH_THROUGHPUT)


def precincts(tile: Area, style: CodingStyle) -> list[list[Precinct]]:
    """Return the precincts of a tile by resolution, row by row.

    Raises:
        LimitExceeded: There are more precincts or code-blocks than any writer makes.
    """
    found = [list(_of_resolution(tile, style, number)) for number in range(style.levels + 1)]
    blocks = sum(
        across * down for level in found for precinct in level for across, down in precinct.bands
    )
    if blocks > _MAX_BLOCKS:
        raise LimitExceeded(f"the compressed image has {blocks} code-blocks")
    return found


def _of_resolution(tile: Area, style: CodingStyle, number: int) -> Iterator[Precinct]:
    """Yield the precincts of a resolution (B.6)."""
    halved = style.levels - number
    area = _halved(tile, halved)
    wide, high = style.precincts[number]
    if area.left >= area.right or area.top >= area.bottom:
        return
    columns = range(area.left >> wide, -(-area.right >> wide))
    rows = range(area.top >> high, -(-area.bottom >> high))
    if len(columns) * len(rows) > _MAX_BLOCKS:
        raise LimitExceeded(f"the compressed image has {len(columns) * len(rows)} precincts")
    for row in rows:
        for column in columns:
            order = (
                max(tile.top, row << (high + halved)),
                max(tile.left, column << (wide + halved)),
                number,
            )
            yield Precinct(order, tuple(_blocks(tile, style, number, (column, row))))


def _halved(area: Area, times: int, high_pass: tuple[int, int] = (0, 0)) -> Area:
    """Return an area after `times` halvings, in the band `high_pass` (equation B-15)."""
    across, down = (each << times >> 1 for each in high_pass)
    return Area(
        *(
            -((shift - edge) >> times)
            for edge, shift in zip(area, (across, down, across, down), strict=True)
        )
    )


def _blocks(
    tile: Area, style: CodingStyle, number: int, place: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield the number of code-blocks, across and down, of each band of a precinct (B.7)."""
    lowest = number == 0
    shrink = 0 if lowest else 1
    wide, high = (size - shrink for size in style.precincts[number])
    across, down = min(style.block[0], wide), min(style.block[1], high)
    for band in _LOWEST if lowest else _OTHERS:
        area = _halved(tile, style.levels - number + shrink, band)
        left, right = max(area.left, place[0] << wide), min(area.right, (place[0] + 1) << wide)
        top, bottom = max(area.top, place[1] << high), min(area.bottom, (place[1] + 1) << high)
        if left >= right or top >= bottom:
            yield 0, 0
        else:
            yield (
                -(-right >> across) - (left >> across),
                -(-bottom >> down) - (top >> down),
            )
