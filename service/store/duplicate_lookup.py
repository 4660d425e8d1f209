"""Finds the row that an arriving Instance already has, also by a digest of an earlier algorithm."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from dicom.spool.spool import content_digest
from dicom.study import Instance
from service.database.tables import InstanceRow
from service.errors import StoreError

_FILMS: Final = InstanceRow.__table__


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
    path: str
    received_at: datetime


def known_film(connection: Connection, instance: Instance) -> KnownInstance | None:
    """Return the row with the UID and digest of `instance`; None if there is none."""
    return _with_digest(connection, instance, instance.digest)


def known_from_before(connection: Connection, instance: Instance) -> KnownInstance | None:
    """Return the row with the UID and bytes of `instance` whose digest an earlier algorithm made.

    Raises:
        StoreError: The file of `instance` cannot be read, so its earlier digest is unknown.
    """
    # The two algorithms' digests differ in length: 64 hex digits of SHA-256, 56 of BLAKE3.
    unlike = select(_FILMS.c.digest).where(
        _FILMS.c.sop_instance_uid == instance.sop_instance_uid,
        func.length(_FILMS.c.digest) != len(instance.digest),
    )
    digest = connection.scalar(unlike.limit(1))
    if digest is None:
        return None
    read = content_digest(instance.path, like=digest)
    if not read:
        raise StoreError("the film cannot be read back")
    return _with_digest(connection, instance, read)


def _with_digest(connection: Connection, instance: Instance, digest: str) -> KnownInstance | None:
    known = connection.execute(
        select(
            _FILMS.c.id,
            _FILMS.c.conflict,
            _FILMS.c.removed_at,
            _FILMS.c.path,
            _FILMS.c.received_at,
        ).where(_FILMS.c.sop_instance_uid == instance.sop_instance_uid, _FILMS.c.digest == digest)
    ).first()
    if known is None:
        return None
    return KnownInstance(
        id=known.id,
        digest=digest,
        conflict=known.conflict,
        is_removed=known.removed_at is not None,
        path=known.path,
        received_at=known.received_at,
    )
