"""Changes of version, model and settings in the database."""

from datetime import datetime
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.audit import AuditAction
from service.database.audit_tables import AuditRow
from service.database.throughput_tables import ChangeRow
from service.store.session import Transactions
from service.throughput.changes import ChangeKind, ServiceChange

_AUDITED: Final = {
    AuditAction.CHANGED_SETTINGS.value: ChangeKind.SETTINGS,
    AuditAction.CHOSE_MODEL.value: ChangeKind.MODEL_CHOICE,
    AuditAction.STOPPED_DRAFTING.value: ChangeKind.DRAFTING,
    AuditAction.STARTED_DRAFTING.value: ChangeKind.DRAFTING,
}
_MOST: Final = 200


def note_change(session: Session, change: ServiceChange, subject: str = "") -> bool:
    """Record what is in force now if it differs from the latest record; return whether it does.

    Args:
        session: A writing transaction.
        change: Its kind is VERSION or MODEL.
        subject: The model; "" for Wetread itself.
    """
    latest = (
        select(ChangeRow.detail)
        .where(ChangeRow.kind == change.kind.value, ChangeRow.subject == subject)
        .order_by(ChangeRow.id.desc())
        .limit(1)
    )
    if session.scalar(latest) == change.detail:
        return False
    row = {"at": change.at, "kind": change.kind.value, "subject": subject, "detail": change.detail}
    session.execute(insert(ChangeRow).values(**row))
    return True


class ServiceChanges(Transactions):
    """The part of the store for changes of the service."""

    def note_version(self, version: str) -> bool:
        """Record the version of Wetread that runs now; return whether it is another one than before."""
        change = ServiceChange(at=self.now(), kind=ChangeKind.VERSION, detail=f"Wetread {version}")
        with self._writing() as session:
            return note_change(session, change)

    def service_changes(self, since: datetime) -> list[ServiceChange]:
        """Return the changes since then, the earliest first: those recorded here, and audited ones."""
        own = select(ChangeRow).where(ChangeRow.at >= since).order_by(ChangeRow.at).limit(_MOST)
        audited = (
            select(AuditRow.at, AuditRow.action, AuditRow.actor, AuditRow.detail)
            .where(AuditRow.at >= since, AuditRow.action.in_(list(_AUDITED)))
            .order_by(AuditRow.at)
            .limit(_MOST)
        )
        with self._reading() as session:
            found = [
                ServiceChange(at=row.at, kind=ChangeKind(row.kind), detail=row.detail)
                for row in session.scalars(own)
            ]
            found += [
                ServiceChange(
                    at=row.at,
                    kind=_AUDITED[row.action],
                    detail=_sentence(row.action, row.actor, row.detail),
                )
                for row in session.execute(audited)
            ]
        return sorted(found, key=lambda each: each.at)


def _sentence(action: str, actor: str, detail: str) -> str:
    if action == AuditAction.CHANGED_SETTINGS.value:
        return "other settings in force"
    return f"{actor} {action}" + (f": {detail}" if detail else "")
