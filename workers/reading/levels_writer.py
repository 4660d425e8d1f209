"""Writes the levels of images that are read, for the viewer, beside the model's work."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from dicom.errors import DicomError
from dicom.pixels.frame import PixelLimits
from dicom.spool.levels_file import levels_path, write_levels
from service.log import get_logger
from service.settings.config import Settings
from workers.reading.image_selection import pixel_limits

_WAITING: Final = 8  # more are made when a viewer needs them

log = get_logger(__name__)


class LevelsWriter:
    """Makes the levels of one image after the other, in a thread that never delays a reading.

    Its failure is only logged: the web process makes the levels that are missing.
    """

    def __init__(
        self,
        levels: Callable[[Path, PixelLimits], bytes],
        limits: PixelLimits,
        *,
        spool_dir: Path,
        min_free_bytes: int,
    ) -> None:
        """Take what makes the levels (`dicom.decoding.pool.Decoders.levels`) and the spool.

        Args:
            levels: Decodes an image and returns its file of levels.
            limits: Upper limits of an image that is decoded.
            spool_dir: Levels are written for images of this folder only.
            min_free_bytes: Nothing is written if the disk would have less free space.
        """
        self._levels = levels
        self._limits = limits
        self._spool_dir = spool_dir.resolve()
        self._min_free_bytes = min_free_bytes
        self._waiting: queue.Queue[Path] = queue.Queue(_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @classmethod
    def from_settings(
        cls, settings: Settings, levels: Callable[[Path, PixelLimits], bytes]
    ) -> Self:
        """Return the writer for the spool of a site; `levels` as in the constructor."""
        return cls(
            levels,
            pixel_limits(settings),
            spool_dir=settings.spool_dir,
            min_free_bytes=settings.receiver.min_free_bytes,
        )

    def write_later(self, image: Path) -> None:
        """Have the levels of an image written soon, unless they are there or many images wait."""
        if not image.resolve().is_relative_to(self._spool_dir) or levels_path(image).exists():
            return
        try:
            self._waiting.put_nowait(image)
        except queue.Full:
            return
        with self._starting:
            if self._thread is None:
                # A daemon: a worker that stops does not wait for a picture.
                self._thread = threading.Thread(target=self._work, name="levels", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            image = self._waiting.get()
            try:
                content = self._levels(image, self._limits)
                write_levels(image, content, min_free_bytes=self._min_free_bytes)
            except (DicomError, OSError) as error:
                log.warning("levels_not_written", reason=type(error).__name__)
