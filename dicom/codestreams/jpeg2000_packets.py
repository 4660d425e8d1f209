"""A walk along the packets of a JPEG 2000 tile by their headers (ISO/IEC 15444-1 B.9 to B.12)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicom.codestreams.jpeg2000_tiles import Area, CodingStyle, Precinct, precincts
from dicom.errors import LimitExceeded, PixelError

_SOP, _EPH = b"\xff\x91", b"\xff\x92"
_BYPASS, _TERMINATE_ALL = 0x01, 0x04
_UNKNOWN: Final = 10**6  # value of a node that was not read yet
_MOST_PASSES: Final = 164
_MOST_LENGTH_BITS: Final = 32
_HEADER_DAMAGED: Final = "the compressed image is damaged: a packet header is invalid"
_MAX_PACKETS: Final = 2**18
# So many equal bytes are a hole: arithmetically coded data looks random, only raw bits (bypass) repeat.
_HOLE: Final = 64
# Code-block data contains no marker: a bit is stuffed after FF (C.2, D.6).
_MARKER: Final = re.compile(rb"\xff[\x90-\xff]")


class _Bits:
    """Reads the bits of a packet header, which has a stuffed bit after each FF byte (B.10.1)."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._left = 0
        self._byte = 0

    def one(self) -> int:
        """Return the next bit.

        Raises:
            IndexError: The data ends.
        """
        if not self._left:
            self._left = 7 if self._byte == 0xFF else 8
            self._byte = self._data[self._at]
            self._at += 1
        self._left -= 1
        return self._byte >> self._left & 1

    def number(self, bits: int) -> int:
        """Return the next bits as a number."""
        value = 0
        for _ in range(bits):
            value = value << 1 | self.one()
        return value

    def end(self) -> int:
        """Return the offset of the byte after the header and the stuffed byte after a final FF."""
        return self._at + (self._byte == 0xFF)


class _TagTree:
    """A tag tree with `across` x `down` leaves (B.10.2)."""

    def __init__(self, across: int, down: int) -> None:
        self._parents: list[int] = []
        first = 0
        while across * down > 1:
            above = first + across * down
            half = -(-across // 2)
            self._parents += [
                above + (row // 2) * half + column // 2
                for row in range(down)
                for column in range(across)
            ]
            first, across, down = above, half, -(-down // 2)
        self._parents.append(-1)
        self._values = [_UNKNOWN] * len(self._parents)
        self._least = [0] * len(self._parents)

    def is_below(self, bits: _Bits, leaf: int, threshold: int) -> bool:
        """Return whether a leaf's value is below a threshold; read only the bits that decide this."""
        path = [leaf]
        while self._parents[path[-1]] >= 0:
            path.append(self._parents[path[-1]])
        least = 0
        for node in reversed(path):
            least = max(least, self._least[node])
            while least < threshold and least < self._values[node]:
                if bits.one():
                    self._values[node] = least
                else:
                    least += 1
            self._least[node] = least
        return self._values[leaf] < threshold


@dataclass(slots=True)
class _Block:
    """The state of a code-block after the packets so far.

    Attributes:
        length_bits: Lblock.
        most: Coding passes that its last codeword segment can hold; 0 if it has no segment.
        passes: Coding passes in that segment.
    """

    length_bits: int = 3
    most: int = 0
    passes: int = 0


class _Band:
    """The code-blocks of a precinct in one band."""

    def __init__(self, across: int, down: int) -> None:
        self.inclusion = _TagTree(across, down)
        self.planes = _TagTree(across, down)
        self.blocks: list[_Block | None] = [None] * (across * down)


def pass_packets(data: bytes, tile: Area, style: CodingStyle) -> None:
    """Check that the packets of a tile fill its data exactly.

    Args:
        data: The packet data of its tile-parts, joined.
        tile: Its area on the reference grid.
        style: Its coding style.

    Raises:
        LimitExceeded: There are more packets, precincts or code-blocks than any writer makes.
        PixelError: A packet is cut off or damaged, or bytes are left over.
    """
    levels = precincts(tile, style)
    count = style.layers * sum(len(level) for level in levels)
    if count > _MAX_PACKETS:
        raise LimitExceeded(f"the compressed image has {count} packets")
    states = [[_bands(precinct) for precinct in level] for level in levels]
    at = 0
    for layer, level, index in _order(levels, style):
        try:
            at = _pass_packet(data, at, states[level][index], layer, style.flags)
        except IndexError:
            at = len(data) + 1
        if at > len(data):
            raise PixelError("the compressed image is cut off or damaged: a packet is not complete")
    if at != len(data):
        raise PixelError(
            f"the compressed image is damaged: {len(data) - at} bytes are left after its last packet"
        )


def _bands(precinct: Precinct) -> list[_Band]:
    return [_Band(across, down) for across, down in precinct.bands if across and down]


def _order(levels: list[list[Precinct]], style: CodingStyle) -> Iterator[tuple[int, int, int]]:
    """Yield layer, resolution and precinct of each packet of the only component (B.12.1)."""
    every = [(level, index) for level, own in enumerate(levels) for index in range(len(own))]
    if style.progression == 0:
        yield from ((layer, *place) for layer in range(style.layers) for place in every)
    elif style.progression == 1:
        for level, own in enumerate(levels):
            for layer in range(style.layers):
                yield from ((layer, level, index) for index in range(len(own)))
    elif style.progression <= 4:
        # With one component RPCL is the order of `every`; PCRL and CPRL go by position first.
        if style.progression > 2:
            every.sort(key=lambda place: levels[place[0]][place[1]].order)
        yield from ((layer, *place) for place in every for layer in range(style.layers))
    else:
        raise PixelError("the progression order of the compressed image is unknown")


def _pass_packet(data: bytes, at: int, bands: list[_Band], layer: int, flags: int) -> int:
    """Return the offset after the packet at `at`.

    Raises:
        IndexError: The data ends within its header.
        PixelError: Its header or its body is damaged.
    """
    if data[at : at + 2] == _SOP:
        at += 6
    bits = _Bits(data, at)
    length = 0
    if bits.one():
        for band in bands:
            for number in range(len(band.blocks)):
                length += _pass_block(bits, band, number, layer, flags)
    at = bits.end()
    if data[at : at + 2] == _EPH:
        at += 2
    if length:
        _check_body(data[at : at + length], at, flags)
    return at + length


def _check_body(body: bytes, at: int, flags: int) -> None:
    """Check that the code-block bytes of a packet can be coded data.

    Raises:
        PixelError: They contain a marker or a hole.
    """
    if _MARKER.search(body):
        raise PixelError(
            f"the compressed image is damaged: a packet at byte {at} of a tile has a marker"
        )
    if flags & _BYPASS or len(body) < _HOLE:
        return
    values = np.frombuffer(body, np.uint8)
    changes = np.flatnonzero(values[1:] != values[:-1])
    edges = np.concatenate(([-1], changes, [len(values) - 1]))
    if np.diff(edges).max() >= _HOLE:
        raise PixelError(
            f"the compressed image is damaged: a packet at byte {at} of a tile has a hole"
        )


def _pass_block(bits: _Bits, band: _Band, number: int, layer: int, flags: int) -> int:
    """Return how many bytes of a code-block a packet contains (B.10.3 to B.10.7)."""
    block = band.blocks[number]
    if block is None:
        if not band.inclusion.is_below(bits, number, layer + 1):
            return 0
        planes = 1
        while not band.planes.is_below(bits, number, planes):
            planes += 1
            if planes > _MOST_PASSES:
                raise PixelError(_HEADER_DAMAGED)
        block = band.blocks[number] = _Block()
    elif not bits.one():
        return 0
    passes = _passes(bits)
    while bits.one():
        block.length_bits += 1
        if block.length_bits > _MOST_LENGTH_BITS:
            raise PixelError(_HEADER_DAMAGED)
    return _lengths(bits, block, passes, flags)


def _passes(bits: _Bits) -> int:
    """Return the next number of coding passes (Table B.4)."""
    if not bits.one():
        return 1
    if not bits.one():
        return 2
    for base, size in ((3, 2), (6, 5)):
        number = bits.number(size)
        if number < 2**size - 1:
            return base + number
    return 37 + bits.number(7)


def _lengths(bits: _Bits, block: _Block, passes: int, flags: int) -> int:
    """Return the total bytes of the codeword segments of the next `passes` coding passes (B.10.7)."""
    length = 0
    while passes:
        if block.passes == block.most:
            block.most, block.passes = _most_passes(block.most, flags), 0
        own = min(passes, block.most - block.passes)
        length += bits.number(block.length_bits + own.bit_length() - 1)
        block.passes += own
        passes -= own
    return length


def _most_passes(before: int, flags: int) -> int:
    """Return how many passes the next codeword segment can hold, given the last one's (D.4, D.6)."""
    if flags & _TERMINATE_ALL:
        return 1
    if not flags & _BYPASS:
        return _MOST_PASSES
    if not before:
        return 10
    return 1 if before == 2 else 2
