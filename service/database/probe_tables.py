"""The table of the end-to-end checks."""

from datetime import datetime

from sqlalchemy import JSON, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, JobId, UtcTime


class ProbeRow(Base):
    """One end-to-end check; its study's own rows are removed when it has ended.

    Attributes:
        slot: The period in which it began, or a request: of several sweepers only one begins a check.
        digest: Digest of its only Instance, known before that is sent.
        lease_until: Until when `owner` works on it.
        not_before: The earliest time of the next attempt to remove its objects.
    """

    __tablename__ = "probes"
    __table_args__ = (
        # A partial index: statements on lists and counts of jobs read it, and it has a row at most.
        Index(
            "ix_probes_uncleaned",
            "study_instance_uid",
            sqlite_where=text("cleaned_at IS NULL"),
            postgresql_where=text("cleaned_at IS NULL"),
        ),
        Index("ix_probes_started_at", "started_at"),
    )

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    slot: Mapped[str] = mapped_column(String(48), unique=True)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    study_instance_uid: Mapped[str] = mapped_column(UID, unique=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    digest: Mapped[str] = mapped_column(String(64))
    stage: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    reached: Mapped[dict[str, str]] = mapped_column(JSON)
    left_at: Mapped[list[str]] = mapped_column(JSON)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    cleaned_at: Mapped[datetime | None] = mapped_column(UtcTime)
    owner: Mapped[str] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    not_before: Mapped[datetime | None] = mapped_column(UtcTime)
