"""The tables of the DICOM network: pauses of destinations, and what calling AEs have sent."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import Base, Counter, UtcTime


class DestinationPauseRow(Base):
    """One time for which a person paused the deliveries to a destination.

    Attributes:
        holds: Whether the destination is paused now.
        resumed_by: "" while it holds.
        alerted_at: When the incident of a pause that holds too long was recorded; NULL before.
    """

    __tablename__ = "destination_pauses"
    __table_args__ = (
        # At most one pause of a destination holds. Each claim of a delivery reads this index.
        Index(
            "ux_destination_pauses_holds",
            "destination",
            unique=True,
            sqlite_where=text("holds = 1"),
            postgresql_where=text("holds"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    destination: Mapped[str] = mapped_column(String(40))
    holds: Mapped[bool] = mapped_column(Boolean)
    paused_at: Mapped[datetime] = mapped_column(UtcTime)
    paused_by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    resumed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    resumed_by: Mapped[str] = mapped_column(String(128))
    alerted_at: Mapped[datetime | None] = mapped_column(UtcTime)


class CallingAeRow(Base):
    """What one calling AE has sent; the number of rows is limited.

    Attributes:
        address: Of the latest association; "" before the first.
        associated_at: When the latest association ended; NULL before the first.
        associations: Number of associations that ended.
        arrived_at: When its latest Instance arrived; NULL before the first.
        instances: Number of Instances, up to `ArrivalCountRow.counted_through`.
        studies: Number of Studies of which it sent the first Instance.
        day: The day of `day_instances` and `day_studies`, ISO 8601, in the site's time zone.
    """

    __tablename__ = "calling_aes"

    ae_title: Mapped[str] = mapped_column(String(16), primary_key=True)
    address: Mapped[str] = mapped_column(String(64))
    associated_at: Mapped[datetime | None] = mapped_column(UtcTime)
    associations: Mapped[int] = mapped_column(BigInteger)
    arrived_at: Mapped[datetime | None] = mapped_column(UtcTime)
    instances: Mapped[int] = mapped_column(BigInteger)
    studies: Mapped[int] = mapped_column(BigInteger)
    day: Mapped[str] = mapped_column(String(10))
    day_instances: Mapped[int] = mapped_column(Integer)
    day_studies: Mapped[int] = mapped_column(Integer)


class ArrivalCountRow(Base):
    """How far the rows of `instances` are counted in `calling_aes`; a single row with the id 1.

    Attributes:
        counted_through: The highest `instances.id` that is counted.
    """

    __tablename__ = "arrival_counts"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    counted_through: Mapped[int] = mapped_column(BigInteger)
