"""Films that could not be drawn, and why, so that no view of a page tries each of them again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from dicom.errors import DecoderSlow, DicomError

FORGET_SECONDS: Final = 600.0
_MOST: Final = 256


class FailedRenderCache:
    """Remembers the newest few refusals for ten minutes; safe for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the clock, in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: OrderedDict[Hashable, tuple[float, DicomError]] = OrderedDict()

    def check(self, film: Hashable) -> None:
        """Return when nothing is known against a film.

        Raises:
            DicomError: What was noted of it.
        """
        with self._lock:
            until, error = self._refused.get(film, (0.0, None))
            if error is None:
                return
            if self._clock() < until:
                raise type(error)(str(error))
            del self._refused[film]

    def note(self, film: Hashable, error: DicomError) -> None:
        """Remember why a film was not drawn, unless that may be gone in a moment."""
        if error.transient and not isinstance(error, DecoderSlow):
            return
        with self._lock:
            self._refused[film] = (self._clock() + FORGET_SECONDS, error)
            self._refused.move_to_end(film)
            while len(self._refused) > _MOST:
                self._refused.popitem(last=False)
