"""Pauses of destinations: a person stops the deliveries to one, and resumes them.

A pause holds across restarts. Each claim of a delivery checks it in its own transaction, so that no
attempt begins, in any process, once the pause is committed. A delivery that is being sent then ends.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.network_tables import DestinationPauseRow
from service.database.tables import DeliveryRow
from service.destination_backlog import Pause
from service.errors import NotFound
from service.jobs import DeliveryState, IllegalTransition
from service.records import IncidentKind
from service.store.transitions import Transitions, changed_rows

_OPEN = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


class DestinationPauses(Transitions):
    """The part of the store that pauses and resumes destinations."""

    def destination_pauses(self) -> dict[str, Pause]:
        """Return the pauses that hold now, by destination."""
        with self._reading() as session:
            return pauses_in_force(session)

    def pause_destination(
        self, name: str, reason: str, event: AuditEvent, *, configured: Iterable[str]
    ) -> Pause:
        """Pause a destination; return the pause.

        Args:
            name: The name of the destination.
            reason: Why, for pages and commands; without patient attributes.
            event: The record for the audit trail; its actor pauses the destination.
            configured: The names that the settings have.

        Raises:
            NotFound: No destination has this name.
            IllegalTransition: It is paused already.
        """
        if name not in configured:
            raise NotFound(f"no destination has the name {name}")
        values = {
            "destination": name,
            "holds": True,
            "paused_at": self.now(),
            "paused_by": event.actor[:128],
            "reason": reason,
            "resumed_by": "",
        }
        with self._writing() as session:
            if not self._insert_new(session, DestinationPauseRow, **values):
                raise IllegalTransition(f"{name} is paused already")
            self._audit(session, event)
            return pauses_in_force(session)[name]

    def resume_destination(self, name: str, event: AuditEvent) -> int:
        """Resume a destination; return how many results wait for it.

        These are due now. The time after which they fail begins anew, because the destination was not
        tried during the pause.

        Raises:
            IllegalTransition: It is not paused.
        """
        now = self.now()
        held = update(DestinationPauseRow).where(
            DestinationPauseRow.holds, DestinationPauseRow.destination == name
        )
        ended = {"holds": False, "resumed_at": now, "resumed_by": event.actor[:128]}
        waiting = update(DeliveryRow).where(
            DeliveryRow.destination == name, DeliveryRow.state.in_(_OPEN)
        )
        pending = waiting.where(DeliveryRow.state == DeliveryState.PENDING.value)
        with self._writing() as session:
            if not changed_rows(session, held.values(**ended)):
                raise IllegalTransition(f"{name} is not paused")
            changed_rows(session, pending.values(not_before=None, published_at=None))
            count = changed_rows(session, waiting.values(created_at=now))
            self._audit(session, event)
            return count

    def alert_forgotten_pauses(self, before: datetime) -> list[Pause]:
        """Record one incident for each pause that began before this time and still holds.

        Returns:
            The pauses for which an incident was recorded now.
        """
        forgotten = (
            DestinationPauseRow.holds,
            DestinationPauseRow.paused_at < before,
            DestinationPauseRow.alerted_at.is_(None),
        )
        with self._reading() as session:
            if session.scalar(select(DestinationPauseRow.id).where(*forgotten).limit(1)) is None:
                return []
        chosen = select(DestinationPauseRow).where(*forgotten).with_for_update(skip_locked=True)
        with self._writing() as session:
            found = []
            for row in session.scalars(chosen):
                row.alerted_at = self.now()
                pause = _record(row)
                self._incident(
                    session,
                    IncidentKind.DESTINATION_STILL_PAUSED,
                    actor="sweeper",
                    subject=row.destination,
                    detail=f"{pause.sentence} Resume it on the page Network, or by "
                    f"`wetread destination resume {row.destination}`.",
                )
                found.append(pause)
            return found


def pauses_in_force(session: Session) -> dict[str, Pause]:
    """Return the pauses that hold now, by destination."""
    held = select(DestinationPauseRow).where(DestinationPauseRow.holds)
    return {row.destination: _record(row) for row in session.scalars(held)}


def _record(row: DestinationPauseRow) -> Pause:
    return Pause(
        destination=row.destination,
        paused_at=row.paused_at,
        paused_by=row.paused_by,
        reason=row.reason,
    )
