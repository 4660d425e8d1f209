"""Images as PNG for a browser: decoded in child processes under limits, scaled down, cached."""

import asyncio
import importlib
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from dicom.errors import DicomError, OutOfResources
from dicom.spool.spool import parse_file_name
from service.errors import NotFound
from service.settings.config import Settings
from service.web.images.failed_renders import FailedRenderCache
from service.web.images.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.web.images.png import PngRenderer

_THREADS: Final = 2
_WAITING: Final = 16  # requests, those being rendered included
_CACHE_BYTES: Final = 48 * 2**20


def make_renderer(settings: Settings) -> "PngRenderer":
    """Return a renderer with the limits of the settings; its decoder processes are started.

    Raises:
        OSError: No process can be started.
    """
    # Imported at the first image: the decoders slow the start of the process.
    drawing = importlib.import_module("service.web.images.png")
    made: PngRenderer = drawing.PngRenderer(
        max_pixels=settings.reading.max_pixels,
        max_bytes=settings.receiver.max_object_bytes,
        at_once=_THREADS + 1,  # one more for levels
        seconds=settings.reading.decode_seconds,
    )
    return made


class ImageCache:
    """Renders PNGs and caches the most recently used in memory; `close` stops its renderer."""

    def __init__(self, renderer_factory: "Callable[[], PngRenderer]") -> None:
        """Take the factory of the renderer; it is called at the first request for an image."""
        self._renderer_factory = renderer_factory
        self._renderer: PngRenderer | None = None
        self._closed = False
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="image")
        self._queued = 0
        self._kept: OrderedDict[tuple[Picture, int], bytes] = OrderedDict()
        self._undrawable = FailedRenderCache()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Start no more renderings; abandon the images that are being decoded."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            if self._renderer:
                self._renderer.close()

    async def png(self, picture: Picture) -> bytes:
        """Return the picture as PNG.

        Raises:
            NotFound: The file has been removed.
            DicomError: The image cannot be decoded under the limits, now or in the last ten minutes, or
                too many requests wait.
            OSError: The file cannot be read, or no decoder process can be started.
        """
        if self._queued >= _WAITING:
            raise OutOfResources("too many images are being rendered: try again in a moment")
        self._queued += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._png, picture)
        finally:
            self._queued -= 1

    def _png(self, picture: Picture) -> bytes:
        try:
            changed = picture.path.stat().st_mtime_ns
        except OSError:
            raise NotFound("The image is no longer stored.") from None
        key = (picture, changed)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        png = self._drawn(picture, changed)
        with self._lock:
            self._kept[key] = png
            while sum(map(len, self._kept.values())) > _CACHE_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return png

    def _drawn(self, picture: Picture, changed: int) -> bytes:
        # Without the size: an image that cannot be decoded fails at every size. The name of a file in
        # the spool holds its UID and hash.
        image = (parse_file_name(picture.path.name) or picture.path, picture.sha256, changed)
        self._undrawable.check(image)
        try:
            return self.renderer().draw(picture)
        except DicomError as error:
            self._undrawable.note(image, error)
            raise

    def renderer(self) -> "PngRenderer":
        """Return the renderer; create it at the first call.

        Raises:
            OutOfResources: The cache is closed.
            OSError: No process can be started.
        """
        with self._lock:
            if self._closed:
                raise OutOfResources("the web server is stopping")
            if self._renderer is None:
                self._renderer = self._renderer_factory()
            return self._renderer
