"""The audit trail in the database: append, search, and the position of the syslog export."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from service.audit import AuditAction, AuditEvent, AuditOutcome, AuditRecord
from service.database.audit_tables import AuditPositionRow, AuditRow
from service.store.audit.actor_search import newest_of_person, of_person
from service.store.audit.append import Audited

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which records are listed; "" for any.

    Attributes:
        person: An account's id, or the beginning of an actor's name.
        before: Only records older than the one with this id; 0 for the newest.
    """

    person: str = ""
    patient_id: str = ""
    study_uid: str = ""
    before: int = 0


class AuditTrail(Audited):
    """The part of the store for the audit trail."""

    def record_audit(self, event: AuditEvent) -> AuditRecord:
        """Append a record; it is durable when this returns.

        Raises:
            StoreUnavailable: The database cannot be written: what is audited must not be done.
        """
        with self._writing() as session:
            return self._append_audit(session, event)

    def audit_records(self, criteria: AuditFilter, limit: int = 100) -> list[AuditRecord]:
        """Return records, the newest first."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if criteria.patient_id:
            query = query.where(AuditRow.patient_id == criteria.patient_id)
        if criteria.study_uid:
            query = query.where(AuditRow.study_uid == criteria.study_uid)
        if criteria.before:
            query = query.where(AuditRow.id < criteria.before)
        with self._reading() as session:
            if criteria.person:
                query = query.where(_of_person(session, criteria, limit))
            return [_record(row) for row in session.scalars(query)]

    def matching_audit(self, criteria: AuditFilter) -> Iterator[AuditRecord]:
        """Yield all records that match, the newest first, in several transactions."""
        while records := self.audit_records(criteria, _BATCH):
            yield from records
            criteria = replace(criteria, before=records[-1].id)

    def audit_from(self, position: int = 0, *, limit: int = _BATCH) -> list[AuditRecord]:
        """Return the records after the one with this id, the oldest first."""
        query = select(AuditRow).where(AuditRow.id > position).order_by(AuditRow.id).limit(limit)
        with self._reading() as session:
            return [_record(row) for row in session.scalars(query)]

    def audit_record(self, number: int) -> AuditRecord | None:
        """Return the record with this id; None if there is none."""
        with self._reading() as session:
            row = session.get(AuditRow, number)
            return _record(row) if row is not None else None

    def whole_audit(self, position: int = 0) -> Iterator[AuditRecord]:
        """Yield the records after the one with this id, the oldest first, in several transactions."""
        while records := self.audit_from(position):
            yield from records
            position = records[-1].id

    def audit_position(self, receiver: str) -> int:
        """Return the id of the last record that a receiver has taken; 0 for none."""
        with self._reading() as session:
            row = session.get(AuditPositionRow, receiver)
            return row.position if row is not None else 0

    def set_audit_position(self, receiver: str, position: int) -> None:
        """Record that a receiver has taken all records up to this one."""
        row = AuditPositionRow(receiver=receiver, position=position, sent_at=self.now())
        with self._writing() as session:
            session.merge(row)


def _of_person(session: Session, criteria: AuditFilter, limit: int) -> ColumnElement[bool]:
    if criteria.patient_id or criteria.study_uid:
        return of_person(criteria.person)  # these have few records, which their indexes find
    return newest_of_person(session, criteria.person, before=criteria.before, limit=limit)


def _record(row: AuditRow) -> AuditRecord:
    event = AuditEvent(
        action=AuditAction(row.action),
        outcome=AuditOutcome(row.outcome),
        actor=row.actor,
        person_id=row.person_id,
        address=row.address,
        study_uid=row.study_uid,
        patient_id=row.patient_id,
        job_id=row.job_id,
        detail=row.detail,
    )
    return AuditRecord(id=row.id, at=row.at, event=event, previous=row.previous, digest=row.digest)
