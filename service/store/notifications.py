"""Messages about alerts: queued once for each target, sent at least once, given up after a time."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from service.database.alert_tables import IncidentAlertRow, NotificationRow
from service.records.alerts import (
    AlertTarget,
    IncidentAlert,
    Notification,
    NotificationEvent,
    NotificationOutcome,
)
from service.store.alerts import alert_record
from service.store.transitions import Transitions, changed_rows

# A recovery that closed its alert is announced if it happened so lately.
_RECENT: Final = timedelta(hours=1)
_MOST: Final = 500
_Event = NotificationEvent
_Outcome = NotificationOutcome


class Notifications(Transitions):
    """The part of the store for messages about alerts."""

    def queue_notifications(
        self, targets: Sequence[AlertTarget], *, quiet: timedelta, repeat: timedelta
    ) -> int:
        """Queue the messages that are missing; return how many.

        Args:
            targets: The targets, each with the kinds that it gets.
            quiet: The least time between a message about an alert and that of its next occurrence.
            repeat: The time after which an alert without acknowledgment is announced again; 0: never.
        """
        now = self.now()
        chosen = select(IncidentAlertRow).where(_concerns(now))
        with self._reading() as session:
            alerts = list(session.scalars(chosen.order_by(IncidentAlertRow.id).limit(_MOST)))
            known = _by_alert(session, [each.id for each in alerts])
            session.expunge_all()
        missing = [
            {"alert_id": alert.id, "target": target.name, **message}
            for alert in alerts
            for target in targets
            if alert.kind in target.kinds
            for message in _missing(
                alert, known.get((alert.id, target.name), ()), now=now, quiet=quiet, repeat=repeat
            )
        ]
        return self._insert_messages(missing) if missing else 0

    def alert_kinds(self) -> frozenset[str]:
        """Return the kinds of the alerts about which messages may be missing."""
        chosen = select(IncidentAlertRow.kind).where(_concerns(self.now())).distinct()
        with self._reading() as session:
            return frozenset(session.scalars(chosen))

    def _insert_messages(self, messages: Sequence[Mapping[str, Any]]) -> int:
        blank = {
            "created_at": self.now(),
            "attempts": 0,
            "outcome": _Outcome.WAITING.value,
            "last_error": "",
        }
        with self._writing() as session:
            return sum(
                self._insert_new(session, NotificationRow, **blank, **each) for each in messages
            )

    def claim_notification(
        self, lease_seconds: float, excluding: Collection[str] = ()
    ) -> tuple[Notification, IncidentAlert] | None:
        """Claim the message that is due first, with its alert; None if none is due.

        Messages that are no longer true are dropped.

        Args:
            lease_seconds: The time after which another process may send it.
            excluding: Targets to which nothing is sent now.
        """
        while (number := self._due_notification(excluding)) is not None:
            with self._writing() as session:
                row = session.get(NotificationRow, number, with_for_update=True)
                if row is None or not _is_free(row, self.now()):
                    continue
                alert = session.get_one(IncidentAlertRow, row.alert_id)
                if _is_obsolete(row, alert):
                    row.outcome, row.ended_at = _Outcome.DROPPED.value, self.now()
                    continue
                row.attempts += 1
                row.lease_until = self.now() + timedelta(seconds=lease_seconds)
                session.flush()
                return _record(row), alert_record(alert)
        return None

    def _due_notification(self, excluding: Collection[str]) -> int | None:
        now = self.now()
        free = or_(NotificationRow.lease_until.is_(None), NotificationRow.lease_until <= now)
        chosen = (
            select(NotificationRow.id)
            .where(
                NotificationRow.ended_at.is_(None),
                NotificationRow.not_before <= now,
                free,
                NotificationRow.target.not_in(sorted(excluding)),
            )
            .order_by(NotificationRow.not_before, NotificationRow.id)
            .limit(1)
        )
        with self._reading() as session:
            return session.scalar(chosen)

    def end_notification(self, message: Notification, outcome: NotificationOutcome) -> None:
        """Record that a message was sent or given up."""
        values = {"outcome": outcome.value, "ended_at": self.now(), "lease_until": None}
        self._change_message(message, values)

    def postpone_notification(self, message: Notification, error: str, delay: float) -> None:
        """Record a try that failed; the message is due again after `delay` seconds."""
        due = self.now() + timedelta(seconds=delay)
        self._change_message(message, {"last_error": error, "not_before": due, "lease_until": None})

    def _change_message(self, message: Notification, values: Mapping[str, Any]) -> None:
        # Only of this attempt: after the lease another process may have claimed it.
        held = update(NotificationRow).where(
            NotificationRow.id == message.id,
            NotificationRow.attempts == message.attempts,
            NotificationRow.ended_at.is_(None),
        )
        with self._writing() as session:
            changed_rows(session, held.values(**values))

    def notifications(self, limit: int = 50) -> list[Notification]:
        """Return the latest messages, the newest first."""
        chosen = select(NotificationRow).order_by(NotificationRow.id.desc()).limit(limit)
        with self._reading() as session:
            return [_record(row) for row in session.scalars(chosen)]


def _concerns(now: datetime) -> ColumnElement[bool]:
    """Return the condition for alerts that are open or were closed lately."""
    lately = IncidentAlertRow.closed_at > now - _RECENT
    return or_(IncidentAlertRow.closed_at.is_(None), lately)


def _by_alert(
    session: Session, alerts: Sequence[int]
) -> Mapping[tuple[int, str], Sequence[NotificationRow]]:
    found: dict[tuple[int, str], list[NotificationRow]] = defaultdict(list)
    chosen = select(NotificationRow).where(NotificationRow.alert_id.in_(alerts))
    for row in session.scalars(chosen.order_by(NotificationRow.id)):
        found[row.alert_id, row.target].append(row)
    return found


def _missing(
    alert: IncidentAlertRow,
    known: Sequence[NotificationRow],
    *,
    now: datetime,
    quiet: timedelta,
    repeat: timedelta,
) -> Iterator[dict[str, Any]]:
    """Yield the messages about an alert that one target has not in its queue."""
    queued = {(row.event, row.number) for row in known}
    sent = [row.ended_at for row in known if row.outcome == _Outcome.SENT and row.ended_at]
    last = max(sent, default=None)
    number = alert.occurrence
    opened = next((r for r in known if r.event == _Event.OPENED and r.number == number), None)
    if alert.recovered_at is not None:
        # Once the beginning was announced; one that is held back by the quiet time never is.
        is_announced = opened is not None and opened.outcome == _Outcome.SENT
        if is_announced and (_Event.RECOVERED.value, number) not in queued:
            yield _values(_Event.RECOVERED, number, now)
        return
    if alert.acknowledged_at is not None:
        return
    if opened is None:
        yield _values(_Event.OPENED, number, max(now, last + quiet) if last else now)
        return
    waits = any(row.ended_at is None for row in known)
    if repeat and last is not None and now >= last + repeat and not waits:
        reminders = sum(row.event == _Event.REMINDER for row in known)
        yield _values(_Event.REMINDER, reminders + 1, now)


def _values(event: NotificationEvent, number: int, not_before: datetime) -> dict[str, Any]:
    return {"event": event.value, "number": number, "not_before": not_before}


def _is_free(row: NotificationRow, now: datetime) -> bool:
    return row.ended_at is None and (row.lease_until is None or row.lease_until <= now)


def _is_obsolete(row: NotificationRow, alert: IncidentAlertRow) -> bool:
    """Return whether a message need not be sent any more."""
    if row.event == _Event.RECOVERED:
        return alert.recovered_at is None or alert.occurrence > row.number
    if alert.acknowledged_at is not None:
        return True
    # A return of the cause that ended within the quiet time is not announced.
    if row.event == _Event.REMINDER:
        return alert.recovered_at is not None
    is_over = alert.recovered_at is not None or alert.occurrence > row.number
    return is_over and row.number > 1 and not row.attempts


def _record(row: NotificationRow) -> Notification:
    return Notification(
        id=row.id,
        alert_id=row.alert_id,
        target=row.target,
        event=NotificationEvent(row.event),
        number=row.number,
        created_at=row.created_at,
        attempts=row.attempts,
        outcome=NotificationOutcome(row.outcome),
        last_error=row.last_error,
        ended_at=row.ended_at,
    )
