"""RLE segments, decoded after checking their exact length (PS3.5 Annex G)."""

import struct
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rle.rle import decode_segment

from dicom.errors import PixelError

# By the first byte of a run: distance to the next run, and number of bytes after decoding (G.3.2).
_STEPS: Final = bytes([*range(2, 130), 1, *[2] * 127])
_LENGTHS: Final = bytes([*range(1, 129), 0, *range(128, 1, -1)])
_HEADER: Final = 64


def decode_rle(frame: bytes, rows: int, columns: int, bits_allocated: int) -> NDArray[Any]:
    """Return the cells of an RLE image, uint8 or uint16 [H, W].

    Raises:
        PixelError: A segment is cut off or damaged.
    """
    pixels = rows * columns
    edges = _edges(frame, bits_allocated // 8)
    cells: NDArray[Any] = np.zeros(pixels, np.uint16 if bits_allocated > 8 else np.uint8)
    for begin, end in pairwise(edges):  # the most significant byte first (G.2)
        segment = frame[begin:end]
        used = _used(segment, pixels)
        plane = np.frombuffer(decode_segment(segment[:used]), np.uint8)[:pixels]
        cells = cells << 8 | plane if bits_allocated > 8 else plane
    return cells.reshape(rows, columns)


def _edges(frame: bytes, segments: int) -> list[int]:
    """Return the offset of each segment and of the end of the last one (G.5)."""
    if len(frame) < _HEADER:
        raise PixelError("the RLE header is cut off")
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != segments:
        raise PixelError(f"the image has {count} RLE segments where {segments} are declared")
    edges = [*offsets[:count], len(frame)]
    if edges[0] < _HEADER or edges != sorted(edges):
        raise PixelError("the RLE segments lie outside of the image")
    return edges


def _used(segment: bytes, pixels: int) -> int:
    """Return the length of the runs that decode to one byte per pixel; only padding may follow them."""
    steps, lengths = segment.translate(_STEPS), segment.translate(_LENGTHS)
    at, length = 0, 0
    try:
        while length < pixels:
            length += lengths[at]
            at += steps[at]
    except IndexError:
        at = len(segment) + 1
    if at > len(segment):
        raise PixelError(
            f"an RLE segment is cut off or damaged: it holds fewer than {pixels} bytes"
        )
    # Writers may make the number of bytes even before they compress them.
    if length > pixels + pixels % 2 or segment[at:].strip(b"\x00\x80"):
        raise PixelError(f"an RLE segment is damaged: it holds more than {pixels} bytes")
    return at
