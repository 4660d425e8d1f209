"""Images that could not be rendered, and why, so that a page does not decode them at every view."""

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, TypeVar

from starlette.exceptions import HTTPException

from dicom.errors import DecoderSlow, DicomError, OutOfResources

FORGET_SECONDS: Final = 600.0
_MOST: Final = 256
_Answer = TypeVar("_Answer")


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


async def shown(answer: Awaitable[_Answer]) -> _Answer:
    """Return what is awaited.

    Raises:
        HTTPException: The image cannot be shown: 503 if it may be in a moment, else 422.
    """
    try:
        return await answer
    except DicomError as error:
        if isinstance(error, OutOfResources) and not isinstance(error, DecoderSlow):
            raise HTTPException(503, str(error), headers={"Retry-After": "2"}) from None
        raise HTTPException(422, f"This image cannot be shown: {error}.") from None
