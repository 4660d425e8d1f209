"""The tables of hourly figures and of changes of the service. No patient attribute.

hourly_figures (one row an hour)     hourly_counts (one row a key and hour)     service_changes
"""

from datetime import datetime

from sqlalchemy import JSON, Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import Base, Counter, UtcTime


class HourRow(Base):
    """The figures of one hour, computed from studies, jobs and events; see `service.throughput.hours`.

    Attributes:
        latency: Counts of a histogram by bucket.
        waiting: The most jobs that waited at once; NULL if not measured.
        oldest_seconds: The highest age of the oldest of them; NULL if not measured.
        computed_at: When the figures were computed; before the end of the hour they are not final. NULL
            if only the two columns before are known.
    """

    __tablename__ = "hourly_figures"

    hour: Mapped[datetime] = mapped_column(UtcTime, primary_key=True)
    latency: Mapped[dict[str, int]] = mapped_column(JSON)
    waiting: Mapped[int | None] = mapped_column(Integer)
    oldest_seconds: Mapped[float | None] = mapped_column(Float)
    computed_at: Mapped[datetime | None] = mapped_column(UtcTime)


class HourCountRow(Base):
    """A count of one hour.

    Attributes:
        dimension: What is counted, see `service.store.throughput.rollups`.
        key: The class, calling AE, model or cause.
    """

    __tablename__ = "hourly_counts"

    dimension: Mapped[str] = mapped_column(String(16), primary_key=True)
    hour: Mapped[datetime] = mapped_column(UtcTime, primary_key=True)
    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    n: Mapped[int] = mapped_column(Integer)


class ChangeRow(Base):
    """The version of Wetread, or of a loaded model, from this time on.

    Attributes:
        kind: A `service.throughput.changes.ChangeKind`.
        subject: The model; "" for Wetread itself.
    """

    __tablename__ = "service_changes"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text)
