"""The query for the stop of drafting that holds, for transactions that must respect it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database.model_tables import DraftingStopRow
from service.errors import DraftingStopped
from service.records.models import DraftingStop


def stop_in_force(session: Session) -> DraftingStop | None:
    """Return the stop that holds now; None while drafting is allowed."""
    row = session.scalar(select(DraftingStopRow).where(DraftingStopRow.holds).limit(1))
    if row is None:
        return None
    return DraftingStop(
        id=row.id, stopped_at=row.stopped_at, stopped_by=row.stopped_by, reason=row.reason
    )


def check_drafting(session: Session) -> None:
    """Check that drafting is not stopped.

    Raises:
        DraftingStopped: It is; the message names the person and the reason.
    """
    stop = stop_in_force(session)
    if stop is not None:
        raise DraftingStopped(stop.sentence)
