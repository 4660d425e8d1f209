"""Levels of images for the viewer: read from the spool, and made on demand where they are missing."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from starlette.concurrency import run_in_threadpool

from dicom.errors import DicomError, InvalidDataset, OutOfResources
from dicom.spool.levels_file import (
    LevelsIndex,
    levels_path,
    open_index,
    read_index,
    read_part,
    write_levels,
)
from service.errors import NotFound
from service.log import get_logger
from service.web.images.failed_renders import FailedRenderCache

_WAITING: Final = 8  # images, the one being decoded included
_CACHE_BYTES: Final = 64 * 2**20

log = get_logger(__name__)


class LevelsMaker(Protocol):
    """Makes the levels of an image (`service.web.images.png.PngRenderer`)."""

    def levels(self, path: Path) -> bytes:
        """Return the content of the image's file of levels."""


class LevelsStore:
    """Returns levels of spooled images. Missing ones are made once, one image at a time, and kept.

    They are written beside the image; if that is not possible (a read-only or nearly full disk), those
    of the latest images are kept in memory.
    """

    def __init__(self, maker: Callable[[], LevelsMaker], *, min_free_bytes: int) -> None:
        """Take what returns the maker, called when levels are missing, and the disk space to leave."""
        self._maker = maker
        self._min_free_bytes = min_free_bytes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="levels")
        self._making: dict[Path, asyncio.Future[None]] = {}
        self._failed = FailedRenderCache()
        self._kept: OrderedDict[Path, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Start no more images."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def description(self, image: Path) -> dict[str, Any]:
        """Return the description of an image for the viewer, as JSON types.

        Raises:
            NotFound: The file of the image has been removed.
            DicomError: The image cannot be decoded under the limits, now or in the last ten minutes, or
                too many images wait.
            OSError: A file cannot be read, or no decoder process can be started.
        """
        return (await self._index(image)).description

    async def level(self, image: Path, number: int) -> bytes:
        """Return one level of an image, gzip compressed; 0 is the full size.

        Raises:
            NotFound: There is no such level, or the file of the image has been removed.
            DicomError, OSError: As `description`.
        """
        index = await self._index(image)
        if not 0 <= number < len(index.parts):
            raise NotFound("There is no such level of the image.")
        return await run_in_threadpool(self._part, image, index.parts[number])

    async def _index(self, image: Path) -> LevelsIndex:
        known = await run_in_threadpool(self._known, image)
        if known is not None:
            return known
        await self._made(image)
        known = await run_in_threadpool(self._known, image)
        if known is None:
            raise OutOfResources("the image could not be prepared: try again in a moment")
        return known

    def _known(self, image: Path) -> LevelsIndex | None:
        """Return what the levels of an image hold, or None if they have to be made."""
        try:
            changed = image.stat().st_mtime_ns
        except OSError:
            raise NotFound("The image is no longer stored.") from None
        kept = self._in_memory(image)
        if kept is not None:
            return read_index(kept, len(kept))
        path = levels_path(image)
        try:
            # An image that was damaged and stored again is newer than its levels.
            return open_index(path) if path.stat().st_mtime_ns >= changed else None
        except (OSError, InvalidDataset):
            return None

    def _part(self, image: Path, part: tuple[int, int]) -> bytes:
        kept = self._in_memory(image)
        if kept is not None:
            return kept[part[0] : sum(part)]
        try:
            return read_part(levels_path(image), part)
        except FileNotFoundError:
            raise NotFound("The image is no longer stored.") from None

    def _in_memory(self, image: Path) -> bytes | None:
        with self._lock:
            return self._kept.get(image)

    async def _made(self, image: Path) -> None:
        """Make the levels of an image; requests for the same image wait for the same work."""
        self._failed.check(image)
        running = self._making.get(image)
        if running is None:
            if len(self._making) >= _WAITING:
                raise OutOfResources("too many images are being prepared: try again in a moment")
            running = asyncio.get_running_loop().run_in_executor(self._pool, self._make, image)
            self._making[image] = running
            running.add_done_callback(lambda _: self._making.pop(image, None))
        # A request that ends must not end the work that another one waits for.
        await asyncio.shield(running)

    def _make(self, image: Path) -> None:
        try:
            content = self._maker().levels(image)
        except DicomError as error:
            self._failed.note(image, error)
            raise
        try:
            if write_levels(image, content, min_free_bytes=self._min_free_bytes):
                return
        except OSError as error:
            log.warning("levels_not_written", reason=error.strerror or type(error).__name__)
        with self._lock:
            self._kept[image] = content
            while sum(map(len, self._kept.values())) > _CACHE_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
