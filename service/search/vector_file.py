"""The file of one vector space: rows of float32 behind a header, written in place, mapped for reading.

    header  64 bytes: b"WETREADV", format as uint32, D as uint32 (little endian), zeros
    row N   4 x D bytes at 64 + 4 x D x N: float32, little endian; zeros where the row is free

Files are in `data_dir/vectors`, named by their space. They hold patient data. A file is never truncated,
because other processes have it mapped.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicom.spool.durable import sync_folder
from service.errors import VectorFileDamaged
from service.records.search import ImageVector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER: Final = "vectors"
FLOAT_BYTES: Final = 4
_HEADER: Final = struct.Struct("<8sII48x")
_MAGIC: Final = b"WETREADV"
_FORMAT: Final = 1
_MOST_DIMENSIONS: Final = 16384
_MODE: Final = 0o660  # as the other files of the data folder; the umask removes the rest


class VectorFiles:
    """The files of all vector spaces of a site."""

    def __init__(self, data_dir: Path) -> None:
        """Take the data folder; nothing is created before the first vector."""
        self._folder = data_dir / FOLDER

    def path(self, space: str) -> Path:
        """Return the file of a space."""
        if not space or Path(space).name != space:
            raise ValueError("the name of a vector space must be a plain file name")
        return self._folder / f"{space}.f32"

    def write(self, vector: ImageVector, row: int) -> None:
        """Write a vector to a row and sync it; create the file if it is missing.

        Raises:
            VectorFileDamaged: The file is not one of vectors of this length.
            OSError: The file cannot be written.
        """
        length = len(vector.content)
        with self._opened(vector.space, length // FLOAT_BYTES) as file:
            _write_all(file, vector.content, _HEADER.size + row * length)
            os.fdatasync(file)

    def clear(self, space: str, row: int) -> None:
        """Overwrite a row with zeros and sync it; a missing file or row needs nothing.

        A file whose header is not valid is removed: no row can be found in it.

        Raises:
            OSError: The file cannot be written.
        """
        path = self.path(space)
        if not path.exists():
            return
        try:
            length = dimensions(path) * FLOAT_BYTES
        except VectorFileDamaged:
            self.remove(space)
            return
        with self._opened(space, length // FLOAT_BYTES) as file:
            start = _HEADER.size + row * length
            if start < os.fstat(file).st_size:
                _write_all(file, bytes(length), start)
                os.fdatasync(file)

    def remove(self, space: str) -> None:
        """Remove the file of a space, if there is one; it can be written anew."""
        self.path(space).unlink(missing_ok=True)

    @contextmanager
    def _opened(self, space: str, count: int) -> Iterator[int]:
        path = self.path(space)
        is_new = not path.exists()
        if is_new:
            path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            # A process that was killed may have left a file without a whole header.
            if os.fstat(file).st_size < _HEADER.size:
                _write_all(file, _HEADER.pack(_MAGIC, _FORMAT, count), 0)
            if is_new:
                sync_folder(path.parent)
            if _count(os.pread(file, _HEADER.size, 0), path) != count:
                raise VectorFileDamaged(f"{path}: holds vectors of another length; {ADVICE}")
            yield file
        finally:
            os.close(file)


ADVICE: Final = "run `wetread search rebuild`"


def dimensions(path: Path) -> int:
    """Return the length of the vectors in a file.

    Raises:
        VectorFileDamaged: Its header is not valid.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return _count(file.read(_HEADER.size), path)


def mapped(path: Path) -> "NDArray[np.float32]":
    """Return the rows of a file, float32 [N, D], mapped for reading.

    Raises:
        VectorFileDamaged: Its header is not valid.
        OSError: It cannot be read.
    """
    import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

    count = dimensions(path)
    rows = (path.stat().st_size - _HEADER.size) // (count * FLOAT_BYTES)
    if rows == 0:
        return np.zeros((0, count), np.float32)
    found: np.memmap[Any, np.dtype[np.float32]] = np.memmap(
        path, dtype="<f4", mode="r", offset=_HEADER.size, shape=(rows, count)
    )
    return found


def _count(header: bytes, path: Path) -> int:
    if len(header) == _HEADER.size:
        magic, version, count = _HEADER.unpack(header)
        if (magic, version) == (_MAGIC, _FORMAT) and 0 < count <= _MOST_DIMENSIONS:
            return int(count)
    raise VectorFileDamaged(f"{path}: is no file of vectors; {ADVICE}")


def _write_all(file: int, content: bytes, start: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, start)
        view, start = view[written:], start + written
