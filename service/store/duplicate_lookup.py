"""Finds the row that an arriving Instance already has, also by a digest of an earlier algorithm.

A transaction that writes reads no file: a slow disk would make every other writer wait. `StoredFiles`
holds what was read before it. If the transaction needs a digest that is not there, it is rolled back,
the file is read, and the transaction runs again and repeats its checks of the rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from dicom.spool.spool import content_digest, written_at
from dicom.study import Instance
from service.database.tables import InstanceRow
from service.errors import StoreError

_INSTANCES: Final = InstanceRow.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInstance:
    """The row of an Instance.

    Attributes:
        is_removed: Whether its file was removed by retention or given up as lost.
        path: Where its file was put.
        received_at: When the row was recorded, after the file was written.
    """

    id: int
    digest: str
    conflict: bool
    is_removed: bool
    path: Path
    received_at: datetime


class FileNotRead(Exception):
    """A transaction needs the digest of a file's data set, which was not read before it.

    Attributes:
        path: The file.
        like: A digest whose algorithm is used.
    """

    def __init__(self, path: Path, like: str) -> None:
        self.path, self.like = path, like
        super().__init__(path)


class FilesNotRead(Exception):
    """Rolls a transaction back because it needs the digests of files; see `StoredFiles.read`."""

    def __init__(self, needed: Sequence[FileNotRead]) -> None:
        self.needed = needed
        super().__init__(len(needed))


class StoredFiles:
    """Times and digests of files in the spool, read outside of any transaction."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Read when these files were modified; no digest is read yet."""
        self._written = {path: written_at(path) for path in paths}
        self._digests: dict[tuple[Path, int], str] = {}

    def written_at(self, path: Path) -> datetime | None:
        """Return when one of the files was modified; None if it is unknown."""
        return self._written.get(path)

    def digest(self, path: Path, *, like: str) -> str:
        """Return the digest of a file's data set, "" if the file could not be read.

        Raises:
            FileNotRead: The digest was not read before this transaction.
        """
        known = self._digests.get((path, len(like)))
        if known is None:
            raise FileNotRead(path, like)
        return known

    def read(self, needed: Iterable[FileNotRead]) -> None:
        """Read the digests that a transaction needs."""
        for each in needed:
            digest = content_digest(each.path, like=each.like)
            self._digests[each.path, len(each.like)] = digest


def known_instance(connection: Connection, instance: Instance) -> KnownInstance | None:
    """Return the row with the UID and digest of `instance`; None if there is none."""
    return _with_digest(connection, instance, instance.digest)


def known_by_earlier_digest(
    connection: Connection, instance: Instance, files: StoredFiles
) -> KnownInstance | None:
    """Return the row with the UID and bytes of `instance` whose digest an earlier algorithm made.

    Raises:
        FileNotRead: The earlier digest of `instance` was not read before this transaction.
        StoreError: The file of `instance` cannot be read, so its earlier digest is unknown.
    """
    # The two algorithms' digests differ in length: 64 hex digits of SHA-256, 56 of BLAKE3.
    unlike = select(_INSTANCES.c.digest).where(
        _INSTANCES.c.sop_instance_uid == instance.sop_instance_uid,
        func.length(_INSTANCES.c.digest) != len(instance.digest),
    )
    digest = connection.scalar(unlike.limit(1))
    if digest is None:
        return None
    read = files.digest(instance.path, like=digest)
    if not read:
        raise StoreError("the Instance cannot be read back")
    return _with_digest(connection, instance, read)


def _with_digest(connection: Connection, instance: Instance, digest: str) -> KnownInstance | None:
    known = connection.execute(
        select(
            _INSTANCES.c.id,
            _INSTANCES.c.conflict,
            _INSTANCES.c.removed_at,
            _INSTANCES.c.path,
            _INSTANCES.c.received_at,
        ).where(
            _INSTANCES.c.sop_instance_uid == instance.sop_instance_uid,
            _INSTANCES.c.digest == digest,
        )
    ).first()
    if known is None:
        return None
    return KnownInstance(
        id=known.id,
        digest=digest,
        conflict=known.conflict,
        is_removed=known.removed_at is not None,
        path=Path(known.path),
        received_at=known.received_at,
    )
