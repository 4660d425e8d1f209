"""Compares conflicts with the films that they are copies of, and puts drafts in doubt.

The receiver keeps a second content of a SOP Instance UID apart and answers its sender. Here it is
compared with the first, pictures in child processes under limits; what matters (`dicom.image_copies`)
puts the drafts about that image in doubt, and each destination that may have one gets a notice from the
delivery workers. The store notes the result and the notices at once: a crash costs another comparison.
"""

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dicom.decoding import Decoders
from dicom.image_copies import differences
from dicom.pixels import PixelLimits
from dicom.select import Looked
from service.config import Settings
from service.errors import StoreError
from service.log import get_logger
from service.records import Conflict
from service.store import Store

log = get_logger(__name__)

_EVERY: Final = 1.0
_BYTES_A_PIXEL: Final = (
    4  # as where a film is read: 16 bits, and as much for what else the file holds
)
_REMOVED: Final = "content, which cannot be told: one of the two files is no longer kept"


class Doubts:
    """Looks at conflicts that have not been compared; any number of processes may do so at once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Take the store, and the settings for the limits of a picture."""
        self._store = store
        self._seconds = settings.reading.decode_seconds
        pixels = settings.reading.max_pixels
        self._limits = PixelLimits(max_pixels=pixels, max_bytes=_BYTES_A_PIXEL * pixels)

    def look(self) -> int:
        """Compare what waits for it; return how many drafts are in doubt by that.

        Raises:
            StoreUnavailable: The database is away; the next look goes on from there.
        """
        count = 0
        for conflict in self._store.conflicts_to_compare():
            words = self._compare(conflict)
            if words is not None:
                count += self._note(conflict, words)
        return count

    def _note(self, conflict: Conflict, words: str) -> int:
        doubted = self._store.compared(conflict, words)
        for job in doubted:
            log.warning("draft_in_doubt", job_id=job.id, differs=words)
        if not doubted:
            log.info("conflict_compared", sop_instance_uid=conflict.sop_instance_uid, differs=words)
        return len(doubted)

    def _compare(self, conflict: Conflict) -> str | None:
        """Return in what the copies differ, "" for nothing that matters; None where it waits."""
        if conflict.first is None or conflict.second is None:
            return _REMOVED
        first, second = conflict.first.path, conflict.second.path
        if not (first.exists() and second.exists()):
            return None  # the spool's disk is away, or a film is lost, which `spool verify` finds
        with _LazyDecoders(self._seconds, self._limits.max_pixels) as decoders:
            return ", ".join(differences(first, second, decoders.look, self._limits))


class _LazyDecoders:
    """Child processes that are started when the first picture is decoded, and ended after it."""

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

    def look(self, path: Path, limits: PixelLimits) -> Looked:
        """Return what `Decoders.look` returns."""
        if self._decoders is None:
            seconds, max_pixels = self._bounds
            self._decoders = Decoders(at_once=1, seconds=seconds, max_pixels=max_pixels)
        return self._decoders.look(path, limits)


def keep_looking(doubts: Doubts, stop: threading.Event) -> None:
    """Look until `stop` is set, whatever is away meanwhile."""
    while not stop.wait(_EVERY):
        try:
            doubts.look()
        except (StoreError, OSError) as error:
            log.warning("conflicts_not_compared", reason=type(error).__name__)
