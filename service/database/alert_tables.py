"""The tables of alerts about incidents, and of the notifications that announce them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import Base, Counter, UtcTime


class IncidentAlertRow(Base):
    """An alert about incidents of one kind and subject; one is open at a time.

    Attributes:
        count: Incidents that it stands for.
        detail: That of the latest one.
        occurrence: How often the condition began; it began again after a recovery.
        recovered_at: When the condition ended; NULL while it lasts, or if its end cannot be observed.
        closed_at: When it was both acknowledged and, where that can be observed, recovered.
    """

    __tablename__ = "incident_alerts"
    __table_args__ = (
        Index(
            "ux_incident_alerts_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_incident_alerts_opened_at", "opened_at"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    opened_at: Mapped[datetime] = mapped_column(UtcTime)
    last_at: Mapped[datetime] = mapped_column(UtcTime)
    count: Mapped[int] = mapped_column(Integer)
    detail: Mapped[str] = mapped_column(Text)
    occurrence: Mapped[int] = mapped_column(Integer)
    acknowledged_by: Mapped[str] = mapped_column(String(128))
    recovered_at: Mapped[datetime | None] = mapped_column(UtcTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcTime)


class NotificationRow(Base):
    """One message about an alert to one target; leased while it is sent.

    Attributes:
        number: The alert's occurrence; of a reminder its number.
        ended_at: When it was sent, dropped or given up (`outcome`); NULL while it waits.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("alert_id", "target", "event", "number"),
        Index(
            "ix_notifications_waiting",
            "not_before",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("incident_alerts.id"))
    target: Mapped[str] = mapped_column(String(40))
    event: Mapped[str] = mapped_column(String(16))
    number: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    not_before: Mapped[datetime] = mapped_column(UtcTime)
    attempts: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str] = mapped_column(String(16))
    last_error: Mapped[str] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
