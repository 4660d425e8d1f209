"""The disk begins to write a file while the rest of it is still on its way; Linux only.

What is written so is not yet durable: that is what fsync is for, which then has less to wait for.
"""

import ctypes
import sys
from typing import Any, Final

_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE of sync_file_range(2)


def _system_call() -> Any:  # noqa: ANN401 - a C function
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


_SYNC_FILE_RANGE: Final = _system_call()


def begin_writeback(descriptor: int, start: int) -> None:
    """Ask for the file from `start` on to be written soon; where that cannot be, nothing is lost."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, start, 0, _WRITE)
