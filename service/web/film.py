"""Films as PNG for a browser: decoded under limits in a few threads, made small, kept a while."""

import asyncio
import importlib
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from dicom.errors import OutOfResources
from service.errors import NotFound
from service.web.picture import Picture

_THREADS: Final = 2
_WAITING: Final = 16
_CACHE_BYTES: Final = 48 * 2**20


class FilmCache:
    """Makes PNGs, the newest few of which it keeps in memory; `close` ends its threads."""

    def __init__(self, *, max_pixels: int, max_bytes: int) -> None:
        """Take the limits under which films are decoded."""
        self._limits = {"max_pixels": max_pixels, "max_bytes": max_bytes}
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
        drawing = importlib.import_module("service.web.drawing")
        png: bytes = drawing.draw(picture, **self._limits)
        with self._lock:
            self._kept[key] = png
            while sum(map(len, self._kept.values())) > _CACHE_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return png
