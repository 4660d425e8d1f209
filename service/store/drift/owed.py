"""Deliveries of drafts that were withheld: these have none before they are released or sent again."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database.tables import DeliveryRow
from service.database.withholding_tables import WithheldDraftRow
from service.jobs import Action, DeliveryState, JobState, ReasonCode
from service.store.transitions import OF_RESULTS, Change, Transitions


class OwedDeliveries(Transitions):
    """Adds the deliveries that a draft would have if it had not been withheld."""

    def _send_owed(self, session: Session, job_id: str) -> None:
        """Add the deliveries that a DRAFTED job lacks; without any destination it is COMPLETED."""
        pending = DeliveryState.PENDING.value
        names, now = owed_destinations(session, job_id), self.now()
        session.add_all(
            DeliveryRow(job_id=job_id, destination=name, state=pending, created_at=now)
            for name in names
        )
        session.flush()
        any_delivery = select(DeliveryRow.id).where(DeliveryRow.job_id == job_id, OF_RESULTS)
        if session.scalar(any_delivery.limit(1)) is None:
            reason = "No destination is configured: the results stay in the outbox."
            change = Change(actor="service", code=ReasonCode.NO_DESTINATION, reason=reason)
            self._move(session, job_id, JobState.DRAFTED, Action.CONFIRM, change)


def owed_destinations(session: Session, job_id: str) -> list[str]:
    """Return the destinations of a draft that is or was withheld to which it has no delivery."""
    row = session.get(WithheldDraftRow, job_id)
    if row is None:
        return []
    chosen = select(DeliveryRow.destination).where(DeliveryRow.job_id == job_id, OF_RESULTS)
    known = set(session.scalars(chosen))
    return [name for name in row.destinations if name not in known]
