"""Bytes and names reach the disk: in good time, and so that they survive a power cut.

What `begin_writeback` asked for is not yet durable: that is what fsync is for, which then waits less.
"""

import ctypes
import os
import sys
import uuid
from pathlib import Path
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


def write_durably(path: Path, content: bytes) -> None:
    """Have a small file hold `content` and nothing else, through a power cut as well.

    Raises:
        OSError: The disk refused; the file is as it was.
    """
    temporary = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return once the names in `folder` survive a power cut.

    Raises:
        OSError: The disk refused.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
