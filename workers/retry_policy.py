"""Whether the work that an error ended is tried again, and how the error is reported."""

import errno
import re
import traceback
from pathlib import Path
from typing import Final

from dicom.errors import DicomError
from service.errors import DraftingStopped, ModelServerAway, StoreUnavailable, WetreadError

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def may_pass(error: Exception) -> bool:
    """Return whether the same work can succeed later: memory, files, database, network."""
    if isinstance(error, WetreadError):
        return error.retry
    if isinstance(error, DicomError):
        return error.transient
    return isinstance(error, OSError | MemoryError)


def is_outage(error: Exception) -> bool:
    """Return whether no study could be finished now: disk full, database or server away, a stop.

    Such a failure is independent of the study and must not use up its attempts.
    """
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, StoreUnavailable | ModelServerAway | DraftingStopped)


def code(error: Exception) -> str:
    """Return the code of an error, such as `PIXEL_ERROR` for PixelError."""
    return _WORD.sub("_", type(error).__name__).upper()


def sentence(error: Exception) -> str:
    """Return one sentence for the user.

    Of an error that is not ours, only the type or `strerror` is used: its text may hold a patient
    attribute.
    """
    if isinstance(error, WetreadError | DicomError) and str(error):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"The file system failed: {error.strerror}."
    name = type(error).__name__
    return f"An unexpected error ended the work ({name}); the worker's log has the details."


def backoff(attempts: int, *, first: float, longest: float) -> float:
    """Return the seconds until the next try after `attempts` (1 or more): doubling from `first`."""
    return float(min(longest, first * 2 ** min(attempts - 1, 30)))


def where(error: Exception) -> str:
    """Return where an error arose, innermost last: file, line and function, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames
    )
