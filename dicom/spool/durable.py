"""Durable writes: files and names that survive a power cut, and hints that make syncing faster.

`begin_writeback` makes nothing durable; it shortens the wait of a later fsync. sync_file_range and
fallocate are hints here: if they are unavailable or fail, only time is lost.
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
# Not os.posix_fallocate: it writes zeros where the file system does not support fallocate.
_FALLOCATE: Final = _system_call(
    "fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
)


def begin_writeback(descriptor: int, start: int) -> None:
    """Start writing the file's content from byte `start` on to the disk, without waiting."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, start, 0, _WRITE)


def reserve(descriptor: int, start: int, length: int) -> None:
    """Allocate the disk blocks for `length` bytes from `start` on; the file's size does not change.

    Otherwise the file system allocates page by page, which takes a quarter of its CPU time for a large
    file. `release_reserve` frees the unused blocks.
    """
    if _FALLOCATE is not None:
        _FALLOCATE(descriptor, _KEEP_SIZE, start, length)


def release_reserve(descriptor: int) -> None:
    """Free the blocks beyond the current file position, the end of the bytes written.

    Raises:
        OSError: The file system reported an error.
    """
    os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))


def write_durably(path: Path, content: bytes) -> None:
    """Replace the content of a small file atomically and durably.

    Raises:
        OSError: The file could not be written and is unchanged, or its folder could not be synced:
            then it has the new content, which may be lost in a power cut.
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
    """Sync `folder`, so that the names in it survive a power cut.

    Raises:
        OSError: The folder could not be synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
