"""Proof that the scans of a JPEG image are complete (ISO/IEC 10918-1).

JPEG decoders fill in missing data: they decode a truncated file to an image with a gray lower half and
report success. Therefore the entropy-coded data is walked to its end before it is decoded: each restart
interval must hold exactly its number of samples and nothing else.

This proves that nothing was cut off or overwritten by zeros. A changed byte is detected unless the codes
after it still give the same number of samples; then it alters the values near it undetected.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from dicom.codestreams.huffman import (
    HuffmanTable,
    Lookups,
    WrittenTable,
    coefficient_advance,
    coefficient_bits,
    difference_bits,
    differences_at,
    make_table,
    pass_blocks,
    pass_samples,
    read_tables,
)
from dicom.codestreams.image_header import Codestream, Coding, after_fill
from dicom.codestreams.jpeg_progressive import Progress, ProgressiveScan
from dicom.errors import LimitExceeded, PixelError

_DHT, _SOS, _EOI, _DRI = 0xC4, 0xDA, 0xD9, 0xDD
_DQT, _SEQUENTIAL = 0xDB, (0xC0, 0xC1)
_RESTARTS: Final = range(0xD0, 0xD8)
_STANDALONE: Final = frozenset({0x01, 0xD8, *_RESTARTS})
# An image of 20 million pixels has 312,500 blocks; an interval of a lossless image is at least a row.
_MAX_INTERVALS: Final = 2**19
# Most bits between the last code and the next marker: the rest of a byte, and two that some writers add.
_FILLING: Final = 23

# Passes codes: (bit position, first unit, number of units) -> (bit position after them, units passed). A
# unit is a pixel of a lossless image, otherwise a block.
_Passing = Callable[[int, int, int], tuple[int, int]]


@dataclass(slots=True)
class _Scans:
    """What was read of a codestream so far.

    Attributes:
        tables: Huffman tables by class and destination.
        steps: Quantization step of the DC coefficient of a block, by destination.
        step: Destination of the component's quantization table.
        interval: Restart interval in MCUs, 0 for none.
        progress: What the scans of a progressive image transmitted.
        proven: Whether all samples were passed.
    """

    frame: bytes
    stream: Codestream
    tables: dict[int, WrittenTable] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    step: int = 0
    interval: int = 0
    progress: Progress | None = None
    proven: bool = False


@dataclass(frozen=True, slots=True)
class _Entropy:
    """The entropy-coded data of one scan.

    Attributes:
        data: All restart intervals without stuffed zeros.
        ends: Offset in `data` after each interval.
        next: Offset in the codestream of the marker after them.
        closed: Whether there is such a marker.
    """

    data: bytes
    ends: tuple[int, ...]
    next: int
    closed: bool


def check_scans(frame: bytes, stream: Codestream) -> None:
    """Check that a Huffman-coded image of one component has all its samples.

    A missing EOI is accepted if all scans were proven complete without it: then only these two bytes
    are missing.

    Raises:
        LimitExceeded: A scan has more restart intervals than any writer makes.
        PixelError: Samples are missing, data is left over, or a code is undefined.
    """
    scans = _Scans(frame, stream)
    try:
        _read_segments(scans)
    except (struct.error, IndexError):
        raise PixelError("the compressed image ends within a marker segment") from None
    if not scans.proven:
        raise PixelError("the compressed image is cut off: not all of its scans are there")


def _read_segments(scans: _Scans) -> None:
    """Read marker after marker up to EOI, or to the end if only EOI is missing."""
    frame, at = scans.frame, 2
    while True:
        if at >= len(frame) - 1 and scans.proven:
            return
        if frame[at] != 0xFF:
            raise PixelError(
                f"the compressed image has no marker at byte {at}, where one is required"
            )
        marker = frame[at + 1]
        if marker == _EOI:
            return
        if marker == 0xFF:
            at = after_fill(frame, at)
        elif marker in _STANDALONE:
            at += 2
        else:
            at = _read_segment(scans, marker, at + 2)


def _read_segment(scans: _Scans, marker: int, at: int) -> int:
    """Read the segment at `at`, of a scan with its data; return the offset of the next marker."""
    length = int(struct.unpack_from(">H", scans.frame, at)[0])
    segment = scans.frame[at + 2 : at + length]
    if len(segment) != length - 2:
        raise PixelError("the compressed image ends within a marker segment")
    if marker == _DHT:
        scans.tables.update(read_tables(segment))
    elif marker == _DQT:
        scans.steps.update(_mean_steps(segment))
    elif marker in _SEQUENTIAL:
        scans.step = segment[8]
    elif marker == _DRI:
        (scans.interval,) = struct.unpack(">H", segment)
    elif marker == _SOS:
        return _read_scan(scans, segment, at + length)
    return at + length


def _mean_steps(segment: bytes) -> dict[int, int]:
    """Return the DC element of each table of a DQT segment by destination (B.2.4.1)."""
    steps, at = {}, 0
    while at < len(segment):
        wide = segment[at] >> 4 != 0
        steps[segment[at] & 15] = int.from_bytes(segment[at + 1 : at + 2 + wide])
        at += 1 + 64 * (1 + wide)
    return steps


def _read_scan(scans: _Scans, segment: bytes, at: int) -> int:
    if scans.proven:
        raise PixelError("the compressed image has more scans than one component can have")
    entropy = _entropy(scans.frame, at)
    _walk(scans, segment, entropy)
    return entropy.next


def _entropy(frame: bytes, at: int) -> _Entropy:
    """Return the entropy-coded data from `at` up to a marker other than RSTn (B.1.1.5).

    Raises:
        LimitExceeded: There are more restart intervals than any writer makes.
        PixelError: A restart interval is missing.
    """
    ends: list[int] = []
    parts: list[bytes] = []
    begin, length = at, 0
    for position in _markers(frame, at):
        restart = frame[position + 1] in _RESTARTS
        if len(ends) > _MAX_INTERVALS:
            raise LimitExceeded(f"a scan has more than {_MAX_INTERVALS} restart intervals")
        if restart and frame[position + 1] != _RESTARTS[len(ends) % 8]:
            raise PixelError("a restart interval of the compressed image is missing")
        parts.append(_unstuffed(frame[begin:position]))
        length += len(parts[-1])
        ends.append(length)
        begin = position + 2
        if not restart:
            if (
                len(parts) > 1 and not parts[-1]
            ):  # some writers put an RSTn after the last interval, too
                del ends[-1]
            return _Entropy(b"".join(parts), tuple(ends), position, closed=True)
    parts.append(_unstuffed(frame[begin:]))
    length += len(parts[-1])
    return _Entropy(b"".join(parts), (*ends, length), len(frame), closed=False)


def _unstuffed(interval: bytes) -> bytes:
    """Return the data of an interval without stuffed zeros and fill bytes (B.1.1.2, B.1.1.5)."""
    return interval.rstrip(b"\xff").replace(b"\xff\x00", b"\xff")


def _markers(frame: bytes, at: int) -> Iterator[int]:
    """Yield the offset of each marker from `at` on: an FF byte neither stuffed nor a fill byte."""
    following = np.frombuffer(frame, np.uint8, offset=at)
    prefixes = np.flatnonzero(following[:-1] == 0xFF)
    codes = following[prefixes + 1]
    for prefix in prefixes[(codes != 0) & (codes != 0xFF)]:
        yield at + int(prefix)


def _walk(scans: _Scans, segment: bytes, entropy: _Entropy) -> None:
    """Walk the codes of each restart interval to its end."""
    rows, columns = scans.stream.rows, scans.stream.columns
    lossless = scans.stream.coding == Coding.LOSSLESS
    units = rows * columns if lossless else -(-rows // 8) * -(-columns // 8)
    due = scans.interval or units
    if len(entropy.ends) != -(-units // due):
        raise PixelError(
            "the compressed image is cut off or damaged: it has "
            f"{len(entropy.ends)} restart intervals instead of {-(-units // due)}"
        )
    passing, finish = _passing(scans, segment, entropy.data)
    what = "pixels" if lossless else "blocks of 8 x 8 pixels"
    for index, (begin, end) in enumerate(pairwise((0, *entropy.ends))):
        own = min(due, units - index * due)
        position, done = passing(8 * begin, index * due, own)
        if done < own or position > 8 * end:
            found = f"its data end after {index * due + done} of {units} {what}"
            if done == own:
                found = f"its restart interval {index + 1} is too short"
            raise PixelError(f"the compressed image is cut off or damaged: {found}")
        _check_filling(entropy, position, end)
    scans.proven = finish()


def _check_means(scans: _Scans, data: bytes, starts: list[int], table: HuffmanTable) -> None:
    """Check that the mean of each block is within the range of the samples.

    Each block's mean is coded as the difference from the block before, so a changed byte may shift the
    brightness of all blocks after it. That is detected if a mean leaves the range.
    """
    differences = differences_at(data, starts, table)
    sums = np.cumsum(differences)
    due = scans.interval or len(sums)
    begun = np.concatenate(([0], sums))[np.arange(len(sums)) // due * due]
    step = scans.steps.get(scans.step, 1)
    means = (sums - begun) * step / 8
    half = 2 ** (scans.stream.bits - 1)
    slack = step / 16 + half / 64
    if means.min() < -half - slack or means.max() > half - 1 + slack:
        raise PixelError("the compressed image is damaged: block mean outside the sample range")


def _passing(scans: _Scans, segment: bytes, data: bytes) -> tuple[_Passing, Callable[[], bool]]:
    """Return, by the header of a scan (B.2.3), functions to pass its codes and to finish it.

    The latter checks the scan as a whole and returns whether the image needs no more scans.
    """
    components, _, selectors, first, last, approximation = struct.unpack(">6B", segment)
    if components != 1:
        raise PixelError(f"a scan of the compressed image has {components} components")
    if scans.stream.coding == Coding.PROGRESSIVE:
        return _passing_progressive(scans, segment, data)
    table = _table(scans, selectors >> 4)
    differences = difference_bits(table)
    if scans.stream.coding == Coding.LOSSLESS:
        samples = Lookups(data, differences)
        return lambda position, _, own: pass_samples(samples, position, own), lambda: True
    if (first, last, approximation) != (0, 63, 0):
        raise PixelError("a scan of the compressed image does not hold all coefficients")
    others = _table(scans, 0x10 | (selectors & 15))
    blocks = Lookups(data, differences, coefficient_bits(others), coefficient_advance(others))

    def finish() -> bool:
        _check_means(scans, data, blocks.block_starts, table)
        return True

    return lambda position, _, own: pass_blocks(blocks, position, own), finish


def _passing_progressive(
    scans: _Scans, segment: bytes, data: bytes
) -> tuple[_Passing, Callable[[], bool]]:
    selectors, first, last, approximation = segment[2:]
    if scans.progress is None:
        blocks = -(-scans.stream.rows // 8) * -(-scans.stream.columns // 8)
        scans.progress = Progress(bytearray(64 * blocks))
    progress = scans.progress
    refines = progress.start(first, last, approximation)
    number = 0x10 | (selectors & 15) if first else selectors >> 4
    table = _table(scans, number) if first or not refines else None
    scan = ProgressiveScan(data, table, (first, last), refines, progress)
    return scan.passing, lambda: progress.complete


def _table(scans: _Scans, number: int) -> HuffmanTable:
    if number not in scans.tables:
        raise PixelError("the compressed image lacks a Huffman table that its scan needs")
    return make_table(*scans.tables[number])


def _check_filling(entropy: _Entropy, position: int, end: int) -> None:
    """Check that only fill bits lie between the last code and the end of its restart interval.

    Writers fill with ones (F.1.2.3), some with zeros. If no marker follows, zeros may also be the
    padding of a damaged file, so only ones and the pad byte of an odd length are accepted.
    """
    left = 8 * end - position
    tail = int.from_bytes(entropy.data[max(position // 8, end - 4) : end]) & (
        2 ** min(left, 32) - 1
    )
    if entropy.closed:
        whole = left <= _FILLING and tail in {0, 2**left - 1}
    else:
        pad = 8 if left >= 8 and tail & 0xFF == 0 else 0
        whole = left - pad < 8 and tail >> pad == 2 ** (left - pad) - 1
    if not whole:
        raise PixelError(
            f"the compressed image is damaged: {left // 8} bytes are left after its last pixel"
        )
