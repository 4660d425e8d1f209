"""The tables of drift. No patient attribute; rows outlive the images.

monitor_rows (one a reading, decision or final report)     drift_references ─< drift_alerts
drift_charts (a cache: the charts as last computed)
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, JobId, UtcTime

_OPEN = "acknowledged_at IS NULL"


class MonitorRowRow(Base):
    """What the charts are computed from; see `service.drift.rows`."""

    __tablename__ = "monitor_rows"
    __table_args__ = (
        Index("ix_monitor_rows_at", "at", "kind", "source_id"),
        Index("ix_monitor_rows_kind_at", "kind", "at"),
        Index("ix_monitor_rows_job_id", "job_id", "kind"),
    )

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    source_id: Mapped[str] = mapped_column(JobId, primary_key=True)
    job_id: Mapped[str] = mapped_column(JobId)
    study_uid: Mapped[str] = mapped_column(UID)
    at: Mapped[datetime] = mapped_column(UtcTime)
    day: Mapped[str] = mapped_column(String(10))
    outcome: Mapped[str] = mapped_column(String(16))
    categories: Mapped[dict[str, str]] = mapped_column(JSON)
    events: Mapped[dict[str, bool]] = mapped_column(JSON)
    numbers: Mapped[dict[str, float]] = mapped_column(JSON)


class ReferenceRow(Base):
    """A reference period that a person accepted; the newest one is in force.

    Attributes:
        summary: What was normal, see `service.drift.reference`.
    """

    __tablename__ = "drift_references"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    first_day: Mapped[str] = mapped_column(String(10))
    last_day: Mapped[str] = mapped_column(String(10))
    accepted_at: Mapped[datetime] = mapped_column(UtcTime)
    accepted_by: Mapped[str] = mapped_column(String(128))
    models: Mapped[list[str]] = mapped_column(JSON)
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)


class AlertRow(Base):
    """An alert of a chart; one is open at a time."""

    __tablename__ = "drift_alerts"
    __table_args__ = (
        Index(
            "ux_drift_alerts_open_chart",
            "chart",
            unique=True,
            sqlite_where=text(_OPEN),
            postgresql_where=text(_OPEN),
        ),
        Index("ix_drift_alerts_opened_at", "opened_at", "id"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    reference_id: Mapped[int] = mapped_column(ForeignKey("drift_references.id"))
    chart: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(128))
    level: Mapped[str] = mapped_column(String(8))
    words: Mapped[str] = mapped_column(Text)
    first: Mapped[datetime] = mapped_column(UtcTime)
    last: Mapped[datetime] = mapped_column(UtcTime)
    n: Mapped[int] = mapped_column(Integer)
    subgroup: Mapped[str] = mapped_column(Text)
    changes: Mapped[list[str]] = mapped_column(JSON)
    cases: Mapped[list[str]] = mapped_column(JSON)
    opened_at: Mapped[datetime] = mapped_column(UtcTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcTime)
    acknowledged_by: Mapped[str] = mapped_column(String(128))
    note: Mapped[str] = mapped_column(Text)


class ChartRow(Base):
    """A chart as last computed, for the page."""

    __tablename__ = "drift_charts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    computed_at: Mapped[datetime] = mapped_column(UtcTime)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
