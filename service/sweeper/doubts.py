"""Compares conflicts with the Instances that they are copies of, and puts drafts in doubt.

The receiver keeps a second content of a SOP Instance UID apart and acknowledges it. Here it is
compared with the first; pixel data are decoded in child processes under limits. A difference that
matters (`dicom.selection.copy_comparison`) puts the drafts of that image in doubt, and the delivery
workers send a notice to each destination that may have one. The store records the result and the
notices in one transaction, so that after a crash the comparison is repeated.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dicom.decoding.pool import Decoders
from dicom.error_boundary import error_boundary
from dicom.errors import DicomError
from dicom.pixels.frame import PixelLimits
from dicom.selection.copy_comparison import differences
from dicom.selection.image_selection import Examined
from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.records import Conflict
from service.settings.config import Settings
from service.store import Store

log = get_logger(__name__)

_EVERY: Final = 1.0
# If pixel data cannot be decoded now (memory, processes): number of tries, and seconds between them.
_MOST_TRIES: Final = 10
_AGAIN_AFTER: Final = 60.0
_BYTES_A_PIXEL: Final = (
    4  # as for reading an image: 16 bits a pixel, and as much again for the rest of the file
)
_UNCOMPARED: Final = "content, which cannot be compared"
_REMOVED: Final = "content, which cannot be determined: one of the two files is no longer kept"


class Doubts:
    """Compares the conflicts that have not been compared; several processes may do so at once."""

    def __init__(
        self, store: Store, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the store, the settings for the limits of pixel data, and a clock in seconds."""
        self._store = store
        self._clock = clock
        self._seconds = settings.reading.decode_seconds
        pixels = settings.reading.max_pixels
        self._limits = PixelLimits(max_pixels=pixels, max_bytes=_BYTES_A_PIXEL * pixels)
        self._postponed: dict[int, _Postponed] = {}

    def compare_due(self) -> int:
        """Compare the waiting conflicts; return how many drafts that put in doubt.

        Raises:
            StoreUnavailable: The database does not answer; the next look continues from there.
        """
        count, last = 0, 0
        while conflicts := self._store.conflicts_to_compare(after=last):
            for conflict in conflicts:
                difference = self._compare(conflict)
                if difference is not None:
                    count += self._note(conflict, difference)
            # Postponed conflicts stay in the list: continue after them, so that later ones are compared.
            last = conflicts[-1].id
        return count

    def _note(self, conflict: Conflict, difference: str) -> int:
        doubted = self._store.compared(conflict, difference)
        for job in doubted:
            log.warning("draft_in_doubt", job_id=job.id, differs=difference)
        if not doubted:
            log.info(
                "conflict_compared", sop_instance_uid=conflict.sop_instance_uid, differs=difference
            )
        return len(doubted)

    def _compare(self, conflict: Conflict) -> str | None:
        """Return in what the copies differ, "" for nothing that matters; None if it is postponed.

        If a file was removed since, the result of an earlier comparison is kept.
        """
        if conflict.first is None or conflict.second is None:
            return conflict.differs or _REMOVED
        first, second = conflict.first.path, conflict.second.path
        if not (first.exists() and second.exists()):
            return None  # the disk is not mounted, or a file is lost, which `spool verify` finds
        postponed = self._postponed.get(conflict.id, _Postponed())
        if self._clock() < postponed.until:
            return None
        tries = postponed.tries + 1
        is_last = tries >= _MOST_TRIES
        otherwise: tuple[str, ...] | None = (_UNCOMPARED,) if is_last else None
        found = error_boundary(
            partial(self._differences, first, second, is_last=is_last),
            otherwise,
            lambda: conflict.calling_ae,
        )
        if found is None:
            later = _Postponed(tries=tries, until=self._clock() + _AGAIN_AFTER)
            self._postponed[conflict.id] = later
            return None
        self._postponed.pop(conflict.id, None)
        return ", ".join(found)

    def _differences(self, first: Path, second: Path, *, is_last: bool) -> tuple[str, ...] | None:
        """Return in what two files differ; None if their pixel data cannot be decoded now."""
        try:
            with _LazyDecoders(self._seconds, self._limits.max_pixels) as decoders:
                return differences(
                    first, second, decoders.examine, self._limits, is_last_try=is_last
                )
        except (DicomError, OSError) as error:
            log.warning("conflict_not_compared", reason=type(error).__name__)
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Postponed:
    """A comparison that could not be made: tries so far, and the time of the next one in seconds."""

    tries: int = 0
    until: float = float("-inf")


class _LazyDecoders:
    """Decoder processes that are started for the first image and ended with the context."""

    def __init__(self, seconds: float, max_pixels: int) -> None:
        self._bounds = (seconds, max_pixels)
        self._decoders: Decoders | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._decoders is not None:
            self._decoders.close()

    def examine(self, path: Path, limits: PixelLimits) -> Examined:
        """Return the result of `Decoders.examine`."""
        if self._decoders is None:
            seconds, max_pixels = self._bounds
            self._decoders = Decoders(at_once=1, seconds=seconds, max_pixels=max_pixels)
        return self._decoders.examine(path, limits)


def compare_until(doubts: Doubts, stop: threading.Event) -> None:
    """Look each second until `stop` is set; errors of the database or the disk are logged."""
    task = Task("compare image copies", passed_on=(StoreError, OSError))
    while not stop.wait(_EVERY):
        try:
            task.attempt(doubts.compare_due)
        except (StoreError, OSError) as error:
            log.warning("conflicts_not_compared", reason=type(error).__name__)
