"""The row that a film has already when it arrives, whichever algorithm made its digest."""

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
    """A film's row; `path` is where its file was put, `is_removed` when retention has removed it.

    `received_at` is when it was recorded, after its file was written.
    """

    id: int
    digest: str
    conflict: bool
    is_removed: bool
    path: str
    received_at: datetime


def known_film(connection: Connection, instance: Instance) -> KnownInstance | None:
    """Return the row of the film with the UID and bytes of `instance`."""
    return _with_digest(connection, instance, instance.digest)


def known_from_before(connection: Connection, instance: Instance) -> KnownInstance | None:
    """Return the same of a film whose digest another algorithm made, before an upgrade.

    Raises:
        StoreError: The file of `instance` cannot be read, so that nobody knows.
    """
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
