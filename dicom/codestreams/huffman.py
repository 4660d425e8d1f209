"""A walk along the Huffman codes of JPEG data that decodes no sample.

For each bit position of a block of data, the length of the code that would begin there, extra bits
included, is looked up in one vectorized step. Only the walk along these lengths is done one by one: some
30 ns per code (ISO/IEC 10918-1 F.2.2 and H.2 define the codes).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.errors import PixelError

Bytes = NDArray[np.uint8]

_BLOCK: Final = 2**14  # bytes of data looked up at once
_UNDEFINED: Final = 255  # an advance past the end of any block
_END_OF_BLOCK: Final = 128
_COEFFICIENTS: Final = 64
_DAMAGED: Final = "the compressed image is damaged"


@dataclass(frozen=True, slots=True)
class HuffmanTable:
    """A Huffman table as lookups by the next 16 bits.

    Attributes:
        bits: uint8 [65536], the length of the code; 0 if no code begins with these bits.
        symbols: uint8 [65536], the symbol of the code.
    """

    bits: Bytes
    symbols: Bytes


# Number of codes of each length from 1 to 16 bits, and their symbols.
WrittenTable = tuple[bytes, bytes]


def read_tables(segment: bytes) -> dict[int, WrittenTable]:
    """Return the tables of a DHT segment by class and destination, 0x00 to 0x13 (B.2.4.2).

    Raises:
        PixelError: The segment is damaged.
    """
    tables, at = {}, 0
    while at < len(segment):
        counts = segment[at + 1 : at + 17]
        symbols = segment[at + 17 : at + 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise PixelError("a Huffman table of the compressed image is cut off")
        tables[segment[at]] = (counts, symbols)
        at += 17 + len(symbols)
    return tables


def make_table(counts: bytes, symbols: bytes) -> HuffmanTable:
    """Return the lookups of a table (C.2).

    Raises:
        PixelError: It has more codes than fit in 16 bits.
    """
    table = HuffmanTable(np.zeros(2**16, np.uint8), np.zeros(2**16, np.uint8))
    begin, used = 0, 0
    for length, count in enumerate(counts, 1):
        width = 2 ** (16 - length)
        end = begin + count * width
        if end > 2**16:
            raise PixelError("a Huffman table of the compressed image is damaged")
        table.bits[begin:end] = length
        own = np.frombuffer(symbols[used : used + count], np.uint8)
        table.symbols[begin:end] = np.repeat(own, width)
        begin, used = end, used + count
    return table


def difference_bits(table: HuffmanTable) -> Bytes:
    """Return the bits of code and difference by the next 16 bits, 0 if undefined (F.1.2.1, H.1.2.2)."""
    extra = np.where(table.symbols == 16, 0, table.symbols)
    return np.where(table.symbols > 16, 0, table.bits + np.where(table.bits, extra, 0)).astype(
        np.uint8
    )


def coefficient_bits(table: HuffmanTable) -> Bytes:
    """Return the bits of code and coefficient by the next 16 bits (F.1.2.2)."""
    return (table.bits + (table.symbols & 15)).astype(np.uint8)


def coefficient_advance(table: HuffmanTable) -> Bytes:
    """Return the coefficients that a code covers by the next 16 bits, `_END_OF_BLOCK` for EOB."""
    run, size = table.symbols >> 4, table.symbols & 15
    advance = np.where(size > 0, run + 1, _UNDEFINED)
    advance = np.where(table.symbols == 0xF0, 16, advance)
    advance = np.where(table.symbols == 0, _END_OF_BLOCK, advance)
    return np.where(table.bits > 0, advance, _UNDEFINED).astype(np.uint8)


class Lookups:
    """Values of tables at each bit position of some data, looked up block by block.

    Attributes:
        bits: Number of bit positions.
        block_starts: Bit position of each block of coefficients, appended by `pass_blocks`.
    """

    def __init__(self, data: bytes, *tables: Bytes) -> None:
        self.bits = 8 * len(data)
        self.block_starts: list[int] = []
        self._data = np.frombuffer(data + b"\xff" * 2, np.uint8)
        self._tables = tables
        self._begin = 0
        self._values: list[bytes] = [b""] * len(tables)

    def at(self, position: int) -> tuple[int, list[bytes]]:
        """Return the first bit position of a block of data with `position`, and its values by table."""
        if not self._begin <= position < self._begin + len(self._values[0]):
            first = position // 8
            block = self._data[first : first + _BLOCK + 2].astype(np.uint32)
            joined = (block[:-2] << 16) | (block[1:-1] << 8) | block[2:]
            windows = [((joined >> (8 - bit)) & 0xFFFF).astype(np.intp) for bit in range(8)]
            self._begin = 8 * first
            self._values = [
                np.stack([table[window] for window in windows], axis=1).tobytes()
                for table in self._tables
            ]
        return self._begin, self._values


def pass_samples(lookups: Lookups, position: int, samples: int) -> tuple[int, int]:
    """Return the bit position after the differences of a lossless image, and their number (H.2.2).

    Args:
        lookups: Of `difference_bits`.
        position: Bit position of the first one.
        samples: How many there should be, at least 1; fewer are passed if the data ends before.

    Raises:
        PixelError: A code is undefined.
    """
    done = 0
    while done < samples and position < lookups.bits:
        begin, (steps,) = lookups.at(position)
        at, last = position - begin, samples - 1
        try:
            for done in range(done, last):  # noqa: B007, B020 - goes on where a block ended
                at += steps[at]
            done = last
            if not steps[at]:  # an undefined code has step 0 and is never passed: any is found here
                raise PixelError(f"{_DAMAGED}: an undefined code at byte {(begin + at) // 8}")
            at += steps[at]
            done = samples
        except IndexError:
            pass  # continue in the next block of data
        position = begin + at
    return position, done


def pass_blocks(lookups: Lookups, position: int, blocks: int) -> tuple[int, int]:
    """Return the bit position after blocks of DCT coefficients, and their number (F.2.2).

    Args:
        lookups: Of `difference_bits`, `coefficient_bits` and `coefficient_advance`.
        position: Bit position of the first one.
        blocks: How many there should be; fewer are passed if the data ends before.

    Raises:
        PixelError: A code is undefined, or a block has more than 64 coefficients.
    """
    coefficient, done = 0, 0
    begins = lookups.block_starts.append
    while done < blocks and position < lookups.bits:
        begin, (differences, steps, advances) = lookups.at(position)
        at = position - begin
        try:
            while done < blocks:
                if not coefficient:
                    step = differences[at]
                    begins(begin + at)
                    coefficient = 1 if step else _UNDEFINED
                    at += step
                coefficient += advances[at]
                at += steps[at]
                if coefficient >= _COEFFICIENTS:
                    _check_block(coefficient, (begin + at) // 8)
                    coefficient = 0
                    done += 1
        except IndexError:
            pass  # continue in the next block of data
        position = begin + at
    return position, done


def _check_block(coefficient: int, byte: int) -> None:
    """Check that a block ended with its 64th coefficient or by an end-of-block code."""
    ended_by_code = _END_OF_BLOCK < coefficient < _END_OF_BLOCK + _COEFFICIENTS
    if coefficient != _COEFFICIENTS and not ended_by_code:
        raise PixelError(
            f"{_DAMAGED}: a block of coefficients at byte {byte} of its scan is invalid"
        )


def differences_at(data: bytes, positions: list[int], table: HuffmanTable) -> NDArray[np.int64]:
    """Return the differences, int64 [N], whose codes begin at `positions`, in bits (F.2.2.1)."""
    padded = np.frombuffer(data + b"\xff" * 6, np.uint8).astype(np.int64)
    starts = np.asarray(positions, np.int64)
    window = _windows(padded, starts)
    size = table.symbols[window].astype(np.int64)
    extra = _windows(padded, starts + table.bits[window]) >> (16 - size)
    negative = (size > 0) & (extra < 1 << np.maximum(size - 1, 0))
    differences: NDArray[np.int64] = np.where(negative, extra - (1 << size) + 1, extra)
    return differences


def _windows(data: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the 16 bits at each bit position."""
    first = positions >> 3
    joined = (data[first] << 16) | (data[first + 1] << 8) | data[first + 2]
    windows: NDArray[np.int64] = (joined >> (8 - (positions & 7))) & 0xFFFF
    return windows
