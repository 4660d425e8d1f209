"""Heartbeats of the processes, and incidents for a person."""

import uuid
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select

from service.database.tables import IncidentRow, ProcessRow
from service.records import (
    NOTHING,
    Incident,
    IncidentKind,
    ProcessBeat,
    ProcessRole,
    ProcessStatus,
    StatusReport,
)
from service.store import record_mapping
from service.store.session import Transactions

_FAILURE_KEPT: Final = timedelta(days=7)
# Number of the advisory lock for incidents of which several processes report the same one.
_REPLACING: Final = 0x574554


class HeartbeatsAndIncidents(Transactions):
    """Heartbeats and incidents."""

    def beat(
        self,
        name: str,
        role: str,
        *,
        host: str,
        pid: int,
        started_at: datetime,
        restarts: int = 0,
        report: StatusReport = NOTHING,
    ) -> None:
        """Record that the process `name` is alive now, with its status."""
        values = {
            "role": str(role),
            "host": host,
            "pid": pid,
            "started_at": started_at,
            "seen_at": self.now(),
            "restarts": restarts,
            "detail": report.detail,
            "status": report.status.value,
            "reason": report.reason,
        }
        with self._writing() as session:
            if self._insert_new(session, ProcessRow, name=name, **values):
                return
            row = session.get_one(ProcessRow, name)
            for column, value in values.items():
                setattr(row, column, value)

    def check_writable(self) -> None:
        """Check that the database can be written, by a committed transaction that leaves no row.

        Raises:
            StoreNotWritable: The database answers but cannot be written.
            StoreUnavailable: The database does not answer.
        """
        # A random name: probes of several processes must not wait for each other's row.
        now, name = self.now(), f"probe:{uuid.uuid4().hex}"
        row = {"role": ProcessRole.PROBE.value, "host": "", "pid": 0, "restarts": 0, "detail": ""}
        with self._writing() as session:
            session.execute(
                insert(ProcessRow).values(name=name, started_at=now, seen_at=now, **row)
            )
            session.execute(delete(ProcessRow).where(ProcessRow.name == name))

    def processes(self) -> list[ProcessBeat]:
        """Return every process that has not signed off, sorted by name."""
        with self._reading() as session:
            found = session.scalars(select(ProcessRow).order_by(ProcessRow.name))
            return [record_mapping.beat(row) for row in found]

    def sign_off(self, name: str) -> None:
        """Delete the row of a process that ends normally."""
        with self._writing() as session:
            session.execute(delete(ProcessRow).where(ProcessRow.name == name))

    def remove_silent_processes(self, before: datetime) -> list[ProcessBeat]:
        """Delete and return the processes that were last seen before this time.

        A failure to load a model is kept 7 days longer: its process has ended and cannot report again.
        """
        failed = ProcessRow.status == ProcessStatus.NOT_LOADED.value
        old = select(ProcessRow).where(
            ProcessRow.seen_at < before,
            or_(~failed, ProcessRow.seen_at < before - _FAILURE_KEPT),
        )
        with self._writing() as session:
            dropped = []
            # skip_locked: of several sweepers, one deletes and reports each row.
            for row in session.scalars(old.with_for_update(skip_locked=True)):
                dropped.append(record_mapping.beat(row))
                session.delete(row)
            return dropped

    def record_incident(self, *, actor: str, kind: IncidentKind, subject: str, detail: str) -> None:
        """Record an incident; `detail` is a sentence without patient attributes."""
        with self._writing() as session:
            self._incident(session, kind, actor=actor, subject=subject, detail=detail)

    def replace_incident(
        self, *, actor: str, kind: IncidentKind, subject: str, detail: str
    ) -> None:
        """Record an incident in place of all of this kind about `subject`.

        When several processes report the same one at a time, one is left: the last.
        """
        with self._writing() as session:
            self._exclusive(session, _REPLACING)
            session.execute(delete(IncidentRow).where(_about(kind, subject)))
            self._incident(session, kind, actor=actor, subject=subject, detail=detail)

    def remove_incidents(self, *, kind: IncidentKind, subject: str) -> None:
        """Delete the incidents of this kind about `subject`, which are no longer true."""
        with self._writing() as session:
            session.execute(delete(IncidentRow).where(_about(kind, subject)))

    def incidents(self, limit: int = 50) -> list[Incident]:
        """Return the latest incidents, the newest first."""
        with self._reading() as session:
            found = session.scalars(
                select(IncidentRow).order_by(IncidentRow.id.desc()).limit(limit)
            )
            return [record_mapping.incident(row) for row in found]

    def incidents_of(self, kind: IncidentKind) -> list[Incident]:
        """Return the incidents of one kind; for kinds that `remove_incidents` deletes, thus few."""
        with self._reading() as session:
            found = session.scalars(select(IncidentRow).where(IncidentRow.kind == kind.value))
            return [record_mapping.incident(row) for row in found]


def _about(kind: IncidentKind, subject: str) -> ColumnElement[bool]:
    """Return the condition for the incidents of a kind about `subject`."""
    return and_(IncidentRow.kind == kind.value, IncidentRow.subject == subject)
