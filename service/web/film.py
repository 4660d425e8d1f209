"""Films as PNG for a browser: decoded under limits in a few threads, made small, kept a while."""

import asyncio
import io
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from dicom.errors import LimitExceeded, OutOfResources
from dicom.pixels import PixelLimits, load_frame
from service.errors import NotFound

FULL_SIZE: Final = 1600
THUMBNAIL_SIZE: Final = 160
_THREADS: Final = 2
_WAITING: Final = 16
_CACHE_BYTES: Final = 48 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What to draw.

    Attributes:
        path: The DICOM file.
        drawn: One of our own Secondary Captures, colours and all, instead of a received film.
        size: The longer side of the PNG in pixels, at most.
    """

    path: Path
    drawn: bool = False
    size: int = FULL_SIZE


class FilmCache:
    """Makes PNGs, the newest few of which it keeps in memory; `close` ends its threads."""

    def __init__(self, limits: PixelLimits) -> None:
        """Take the limits under which films are decoded."""
        self._limits = limits
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="film")
        self._queued = 0
        self._kept: OrderedDict[tuple[Picture, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def png(self, picture: Picture) -> bytes:
        """Return the picture as PNG.

        Raises:
            NotFound: The file is not kept any more.
            DicomError: It cannot be decoded under the limits, or too many wait to be decoded.
        """
        if self._queued >= _WAITING:
            raise OutOfResources("too many films are being drawn: try again in a moment")
        self._queued += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._png, picture)
        finally:
            self._queued -= 1

    def _png(self, picture: Picture) -> bytes:
        try:
            key = (picture, picture.path.stat().st_mtime_ns)
        except OSError:
            raise NotFound("The film is not kept any more.") from None
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        png = _encode(self._pixels(picture), picture.size)
        with self._lock:
            self._kept[key] = png
            while sum(map(len, self._kept.values())) > _CACHE_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return png

    def _pixels(self, picture: Picture) -> NDArray[np.uint8]:
        if picture.drawn:
            return _own_pixels(picture.path, self._limits.max_pixels)
        frame = load_frame(picture.path, self._limits)
        scaled: NDArray[np.uint8] = (frame.pixels * 255 + 0.5).clip(0, 255).astype(np.uint8)
        return scaled


def _own_pixels(path: Path, max_pixels: int) -> NDArray[np.uint8]:
    """Return uint8 [H, W] or [H, W, 3] of an object that this service made, as it is."""
    capture: Any = dcmread(path)
    if int(capture.Rows) * int(capture.Columns) > max_pixels:
        raise LimitExceeded("the picture is larger than the configured limits")
    pixels: NDArray[np.uint8] = capture.pixel_array.astype(np.uint8)
    return pixels


def _encode(pixels: NDArray[np.uint8], size: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()
