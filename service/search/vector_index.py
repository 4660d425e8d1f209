"""The vectors of one space in memory: which rows are in use, and the closest ones by exact cosine."""

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.records.search import VectorRow
from service.search.vector_file import VectorFiles, mapped
from service.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A study is found once; of so many images for each study wanted, no study has more.
_IMAGES_PER_STUDY: Final = 8


@dataclass(frozen=True, slots=True)
class Neighbor:
    """An image and how close it is.

    Attributes:
        cosine: -1 to 1.
        rank: 1 for the closest of the images compared.
    """

    study_uid: str
    image_uid: str
    cosine: float
    rank: int


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The closest images.

    Attributes:
        found: The closest first, one for each study.
        compared: Number of images compared.
    """

    found: Sequence[Neighbor]
    compared: int


class VectorIndex:
    """The vectors of one space; follows the database and the file. Threads may share it."""

    def __init__(self, store: Store, files: VectorFiles, space: str) -> None:
        self._store = store
        self._space = space
        self._path = files.path(space)
        self._lock = threading.Lock()
        self._change = 0
        self._file: tuple[int, int] | None = None  # inode and size of the mapped file
        self._matrix: NDArray[np.float32] | None = None
        self._rows: dict[int, VectorRow] = {}
        self._usable: NDArray[np.bool_] | None = None

    @property
    def damaged(self) -> list[VectorRow]:
        """Rows of images whose vector is missing or is not what was written."""
        usable = self._usable
        return [row for row in self._rows.values() if usable is None or not usable[row.row]]

    @property
    def images(self) -> set[str]:
        """SOP Instance UIDs of the images that have a row."""
        return {row.image_uid for row in self._rows.values()}

    def refresh(self) -> None:
        """Take over what has changed in the database and in the file.

        Raises:
            StoreUnavailable: The database does not answer.
            VectorFileDamaged: The file is not one of vectors.
        """
        with self._lock:
            self._refresh()

    def vector(self, row: int) -> "NDArray[np.float32] | None":
        """Return the vector of a row; None if it cannot be used."""
        if self._matrix is None or self._usable is None or row >= len(self._usable):
            return None
        return self._matrix[row] if self._usable[row] else None

    def nearest(
        self, query: "NDArray[np.float32]", *, limit: int, without_study: str = ""
    ) -> Neighbors:
        """Return the images closest to a vector of this space, after `refresh`.

        Args:
            query: float32 [D], of length 1.
            limit: Most studies to return.
            without_study: A study whose images are not compared.
        """
        with self._lock:
            return self._nearest(query, limit, without_study)

    def _nearest(self, query: "NDArray[np.float32]", limit: int, without_study: str) -> Neighbors:
        import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

        matrix, usable, rows = self._matrix, self._usable, self._rows
        if matrix is None or usable is None:
            return Neighbors((), 0)
        count = min(len(matrix), len(usable))
        compared = usable[:count].copy()
        own = [each.row for each in rows.values() if each.study_uid == without_study]
        compared[[row for row in own if row < count]] = False
        cosines = matrix[:count] @ query
        cosines[~compared] = -np.inf
        ordered = _ordered(cosines, min(int(compared.sum()), limit * _IMAGES_PER_STUDY))
        found: dict[str, Neighbor] = {}
        for rank, number in enumerate(ordered, start=1):
            row = rows[int(number)]
            cosine = float(cosines[number])
            found.setdefault(row.study_uid, Neighbor(row.study_uid, row.image_uid, cosine, rank))
        return Neighbors(list(found.values())[:limit], int(compared.sum()))

    def _refresh(self) -> None:
        changes = self._store.vector_changes(self._space, self._change)
        is_other_file = self._map_again()
        for row in changes:
            self._change = row.change
            if row.image_uid:
                self._rows[row.row] = row
            else:
                self._rows.pop(row.row, None)
        if is_other_file or self._usable is None or self._matrix is None:
            self._verify_all()
        elif changes:
            self._verify(changes)

    def _map_again(self) -> bool:
        """Map the file if it has grown or was replaced; return whether it is another file."""
        known = self._file
        self._file = _identity(self._path)
        if self._file == known:
            return False
        self._matrix = None if self._file is None else mapped(self._path)
        return known is None or self._file is None or known[0] != self._file[0]

    def _verify_all(self) -> None:
        import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

        count = 0 if self._matrix is None else len(self._matrix)
        highest = max(self._rows, default=-1) + 1
        self._usable = np.zeros(max(count, highest), np.bool_)
        self._verify(list(self._rows.values()))

    def _verify(self, rows: Sequence[VectorRow]) -> None:
        """Set which of these rows can be used: those in the file whose checksum is right."""
        import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

        if self._usable is None:
            return
        matrix = self._matrix
        count = 0 if matrix is None else len(matrix)
        size = max(count, max((row.row for row in rows), default=-1) + 1, len(self._usable))
        usable = np.zeros(size, np.bool_)
        usable[: len(self._usable)] = self._usable
        for row in rows:
            whole = matrix is not None and row.row < count
            usable[row.row] = bool(
                row.image_uid and whole and zlib.crc32(matrix[row.row]) == row.crc32  # type: ignore[index]
            )
        self._usable = usable


def _ordered(cosines: "NDArray[np.float32]", most: int) -> "NDArray[np.intp]":
    """Return the numbers of the `most` largest values, the largest first, equal ones by number."""
    import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

    if most <= 0:
        return np.zeros(0, np.intp)
    chosen = np.argpartition(-cosines, most - 1)[:most]
    return chosen[np.lexsort((chosen, -cosines[chosen]))]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size
