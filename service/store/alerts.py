"""Alerts about incidents: opened, acknowledged by a person, ended when their cause ended."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.alert_tables import IncidentAlertRow, NotificationRow
from service.database.tables import IncidentRow
from service.errors import NotFound
from service.records.alerts import IncidentAlert
from service.store.transitions import Transitions, changed_rows

_BATCH: Final = 200
# Number of the advisory lock: of several sweepers one takes an incident.
_TAKING: Final = 0x574E54
# Of one kind: a port scan is refused under many calling AE titles.
_MOST_SUBJECTS: Final = 50
_OPEN: Final = IncidentAlertRow.closed_at.is_(None)


class Alerts(Transitions):
    """The part of the store for alerts about incidents."""

    def take_incidents(self, subject_of: Callable[[str, str], str], ends: Mapping[str, str]) -> int:
        """Open alerts for the incidents that have none; return how many incidents were taken.

        An incident of a kind and subject with an open alert counts for that one. While a kind has 50
        open alerts, further subjects have one common alert.

        Args:
            subject_of: The subject of the alert, from an incident's kind and subject.
            ends: Kinds that end the alert of another kind about the same subject.
        """
        chosen = select(IncidentRow).where(~IncidentRow.alerted).order_by(IncidentRow.id)
        with self._reading() as session:
            if session.scalar(chosen.with_only_columns(IncidentRow.id).limit(1)) is None:
                return 0
        with self._writing() as session:
            self._exclusive(session, _TAKING)
            found = list(session.scalars(chosen.limit(_BATCH)))
            for row in found:
                if row.kind in ends:
                    kind = ends[row.kind]
                    self._recover_alert(session, kind, subject_of(kind, row.subject))
                else:
                    self._take_incident(session, row, subject_of(row.kind, row.subject))
                row.alerted = True
            return len(found)

    def _take_incident(self, session: Session, incident: IncidentRow, subject: str) -> None:
        alert = self._open_alert(session, incident.kind, subject)
        if alert is None and subject and _open_count(session, incident.kind) >= _MOST_SUBJECTS:
            subject, alert = "", self._open_alert(session, incident.kind, "")
        detail = incident.detail if subject else _with_subject(incident)
        if alert is None:
            session.add(
                IncidentAlertRow(
                    kind=incident.kind,
                    subject=subject,
                    opened_at=incident.at,
                    last_at=incident.at,
                    count=1,
                    detail=detail,
                    occurrence=1,
                    acknowledged_by="",
                )
            )
            session.flush()
            return
        if alert.recovered_at is not None:
            alert.recovered_at, alert.occurrence = None, alert.occurrence + 1
        alert.last_at, alert.detail, alert.count = incident.at, detail, alert.count + 1

    def _open_alert(self, session: Session, kind: str, subject: str) -> IncidentAlertRow | None:
        its = (IncidentAlertRow.kind == kind, IncidentAlertRow.subject == subject)
        # Locked: of an end and an acknowledgment at once, the second one closes the alert.
        return session.scalar(select(IncidentAlertRow).where(*its, _OPEN).with_for_update())

    def recover_alert(self, kind: str, subject: str) -> None:
        """Record that the cause of an open alert has ended; without such an alert nothing is done."""
        with self._writing() as session:
            self._recover_alert(session, kind, subject)

    def _recover_alert(self, session: Session, kind: str, subject: str) -> None:
        alert = self._open_alert(session, kind, subject) or self._open_alert(session, kind, "")
        if alert is None or alert.recovered_at is not None:
            return
        alert.recovered_at = self.now()
        if alert.acknowledged_at is not None:
            alert.closed_at = self.now()
        session.flush()

    def acknowledge_incident_alert(
        self, number: int, recovers: Callable[[str], bool], event: AuditEvent
    ) -> IncidentAlert:
        """Acknowledge an alert; return it. A second time changes nothing.

        It is closed, unless its cause lasts and its end will be observed.

        Args:
            number: The alert.
            recovers: Whether the end of the cause of a kind is observed.
            event: The record for the audit trail; its actor acknowledges.

        Raises:
            NotFound: There is no such alert.
        """
        first = update(IncidentAlertRow).where(
            IncidentAlertRow.id == number, IncidentAlertRow.acknowledged_at.is_(None)
        )
        with self._writing() as session:
            row = session.get(IncidentAlertRow, number, with_for_update=True)
            if row is None:
                raise NotFound(f"there is no alert {number}")
            now = self.now()
            values = {"acknowledged_at": now, "acknowledged_by": event.actor[:128]}
            if row.recovered_at is not None or not recovers(row.kind):
                values["closed_at"] = now
            if changed_rows(session, first.values(**values)):
                self._audit(session, event.with_detail(f"{row.kind} ({number})"))
            session.refresh(row)
            return alert_record(row)

    def forget_alerts(self, closed_before: datetime) -> int:
        """Remove alerts that were closed before this time, with their messages; return how many.

        Open alerts remain. At most 200 are removed by one call.
        """
        old = select(IncidentAlertRow.id).where(IncidentAlertRow.closed_at < closed_before)
        with self._writing() as session:
            numbers = list(session.scalars(old.order_by(IncidentAlertRow.id).limit(_BATCH)))
            messages = delete(NotificationRow).where(NotificationRow.alert_id.in_(numbers))
            session.execute(messages)
            session.execute(delete(IncidentAlertRow).where(IncidentAlertRow.id.in_(numbers)))
            return len(numbers)

    def open_incident_alerts(self, limit: int = 200) -> Sequence[IncidentAlert]:
        """Return the open alerts, the latest first."""
        return self._alert_records(select(IncidentAlertRow).where(_OPEN), limit)

    def closed_incident_alerts(self, limit: int = 50) -> Sequence[IncidentAlert]:
        """Return the latest alerts that are closed."""
        return self._alert_records(select(IncidentAlertRow).where(~_OPEN), limit)

    def _alert_records(
        self, chosen: Select[IncidentAlertRow], limit: int
    ) -> Sequence[IncidentAlert]:
        ordered = chosen.order_by(IncidentAlertRow.last_at.desc(), IncidentAlertRow.id.desc())
        with self._reading() as session:
            return [alert_record(row) for row in session.scalars(ordered.limit(limit))]


def _open_count(session: Session, kind: str) -> int:
    count = select(func.count()).where(IncidentAlertRow.kind == kind, _OPEN)
    return session.scalar(count) or 0


def _with_subject(incident: IncidentRow) -> str:
    return f"{incident.subject}: {incident.detail}" if incident.subject else incident.detail


def alert_record(row: IncidentAlertRow) -> IncidentAlert:
    """Return the record of a row."""
    return IncidentAlert(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        opened_at=row.opened_at,
        last_at=row.last_at,
        count=row.count,
        detail=row.detail,
        occurrence=row.occurrence,
        acknowledged_by=row.acknowledged_by,
        recovered_at=row.recovered_at,
        acknowledged_at=row.acknowledged_at,
        closed_at=row.closed_at,
    )
