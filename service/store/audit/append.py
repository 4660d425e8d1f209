"""Appends to the audit trail, within the transaction of what is audited."""

from dataclasses import replace

from sqlalchemy import Connection, insert, select
from sqlalchemy.orm import Session

from service.audit import AuditEvent, AuditRecord, chained
from service.database.audit_tables import AuditRow
from service.database.identity_tables import StudyIdentityRow
from service.store.audit.request_claims import note_acted
from service.store.session import Transactions

# Number of the advisory lock under which a record is appended.
_APPENDING = 0x574541


class Audited(Transactions):
    """The base of the store's parts whose changes are audited."""

    def _audit(
        self,
        session: Session | Connection,
        event: AuditEvent | None,
        *,
        study_uid: str = "",
        job_id: str = "",
        detail: str = "",
    ) -> None:
        """Append a record of the change that this transaction makes; nothing if `event` is None.

        Call it last: the lock of the trail is held from here to the commit.

        Args:
            session: The transaction.
            event: What was done, and by whom.
            study_uid: The study that was changed; its patient is added as far as known.
            job_id: The job that was changed.
            detail: Replaces the event's detail if given.
        """
        if event is None:
            return
        if event.claim is not None:
            note_acted(session, event.claim, self.now())
        uid = study_uid or event.study_uid
        full = replace(
            event,
            study_uid=uid,
            patient_id=event.patient_id or self._patient_of(session, uid),
            job_id=job_id or event.job_id,
            detail=detail or event.detail,
        )
        self._append_audit(session, full)

    def _patient_of(self, session: Session | Connection, study_uid: str) -> str:
        if not study_uid:
            return ""
        known = select(StudyIdentityRow.patient_id).where(StudyIdentityRow.study_uid == study_uid)
        return session.execute(known).scalar() or ""

    def _append_audit(self, session: Session | Connection, event: AuditEvent) -> AuditRecord:
        self._exclusive(session, _APPENDING)
        newest = select(AuditRow.id, AuditRow.digest).order_by(AuditRow.id.desc()).limit(1)
        last = session.execute(newest).first()
        record = chained(_fitting(event), self.now(), (last.id, last.digest) if last else None)
        session.execute(insert(AuditRow).values(_columns(record)))
        return record


def _fitting(event: AuditEvent) -> AuditEvent:
    """Return the event with texts no longer than their columns."""
    return AuditEvent(
        action=event.action,
        outcome=event.outcome,
        actor=event.actor[:128],
        person_id=event.person_id[:32],
        address=event.address[:64],
        study_uid=event.study_uid[:64],
        patient_id=event.patient_id[:64],
        job_id=event.job_id[:32],
        detail=event.detail[:500],
    )


def _columns(record: AuditRecord) -> dict[str, object]:
    event = record.event
    return {
        "id": record.id,
        "at": record.at,
        "action": event.action.value,
        "outcome": event.outcome.value,
        "actor": event.actor,
        "person_id": event.person_id,
        "address": event.address,
        "study_uid": event.study_uid,
        "patient_id": event.patient_id,
        "job_id": event.job_id,
        "detail": event.detail,
        "previous": record.previous,
        "digest": record.digest,
    }
