"""Images that could not be rendered, and why, so that a page does not decode them at every view."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from dicom.errors import DecoderSlow, DicomError

FORGET_SECONDS: Final = 600.0
_MOST: Final = 256


class FailedRenderCache:
    """Keeps the 256 newest rendering errors for ten minutes; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the clock, in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: OrderedDict[Hashable, tuple[float, DicomError]] = OrderedDict()

    def check(self, image: Hashable) -> None:
        """Return if no error is cached for this image.

        Raises:
            DicomError: The cached error.
        """
        with self._lock:
            until, error = self._refused.get(image, (0.0, None))
            if error is None:
                return
            if self._clock() < until:
                raise type(error)(str(error))
            del self._refused[image]

    def note(self, image: Hashable, error: DicomError) -> None:
        """Cache the error of an image; of transient errors only DecoderSlow is cached."""
        if error.transient and not isinstance(error, DecoderSlow):
            return
        with self._lock:
            self._refused[image] = (self._clock() + FORGET_SECONDS, error)
            self._refused.move_to_end(image)
            while len(self._refused) > _MOST:
                self._refused.popitem(last=False)
