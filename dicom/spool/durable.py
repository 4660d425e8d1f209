"""Bytes and names reach the disk: in good time, and so that they survive a power cut.

What `begin_writeback` asked for is not yet durable: that is what fsync is for, which then waits less.
Both calls of Linux are hints here: where they cannot be had, or fail, only time is lost.
"""

import ctypes
import os
import sys
import uuid
from pathlib import Path
from typing import Any, Final

_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE of sync_file_range(2)


_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE of fallocate(2)


def _system_call(name: str, *arguments: type) -> Any:  # noqa: ANN401 - a C function
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), name, None)
    if found is not None:
        found.argtypes = arguments
    return found


_SYNC_FILE_RANGE: Final = _system_call(
    "sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
)
# Not os.posix_fallocate: where the file system cannot, that one writes zeros instead.
_FALLOCATE: Final = _system_call(
    "fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
)


def begin_writeback(descriptor: int, start: int) -> None:
    """Ask for the file from `start` on to be written soon."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, start, 0, _WRITE)


def reserve(descriptor: int, start: int, length: int) -> None:
    """Ask for the blocks that will hold so many bytes from `start` on; the file stays as long as it is.

    The file system otherwise sets them aside page by page, which costs a quarter of all it does for a
    large file. `release_reserve` gives back what was not needed.
    """
    if _FALLOCATE is not None:
        _FALLOCATE(descriptor, _KEEP_SIZE, start, length)


def release_reserve(descriptor: int) -> None:
    """Give the blocks back that lie behind the last byte written.

    Raises:
        OSError: The disk refused.
    """
    os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))


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
