"""Conditions on deliveries to paused destinations, for the statements that claim and publish."""

from sqlalchemy import ColumnElement, select

from service.database.network_tables import DestinationPauseRow
from service.database.tables import DeliveryRow


def is_paused() -> ColumnElement[bool]:
    """Return the condition that the destination of a delivery is paused."""
    held = select(DestinationPauseRow.id).where(
        DestinationPauseRow.holds, DestinationPauseRow.destination == DeliveryRow.destination
    )
    return held.exists()
