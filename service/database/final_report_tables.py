"""The table of final reports.

The keys of a report are patient attributes: they stand in a row only while its study is awaited.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, JobId, UtcTime

_WAITING = "state IN ('unlabeled', 'no draft', 'ambiguous', 'unmatched') AND NOT closed"


class FinalReportRow(Base):
    """A final report; rows are never removed, but text and keys are.

    Attributes:
        digest: SHA-256 of its content: the same report twice is one row.
        report_key: SHA-256 of its identifier in the reporting system; "" for none.
        checked_at: When a study was last looked for.
        closed: No study is awaited any more; the keys are removed.
        labels: Presence by observation; NULL before the labeler has read the text.
        text: NULL unless `final_reports.keep_text` is set, or before the labeler has read it.
    """

    __tablename__ = "final_reports"
    __table_args__ = (
        Index("ix_final_reports_study_uid", "study_uid"),
        Index("ix_final_reports_job_id", "job_id"),
        Index("ix_final_reports_report_key", "report_key"),
        Index("ix_final_reports_matched_at", "matched_at", "id"),
        Index("ix_final_reports_received_at", "received_at", "id"),
        # Few rows wait, and the sweeper looks for them each minute.
        Index(
            "ix_final_reports_waiting",
            "id",
            sqlite_where=text(_WAITING),
            postgresql_where=text(_WAITING),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    source: Mapped[str] = mapped_column(String(8))
    instance_id: Mapped[int] = mapped_column(Counter, default=0)
    report_key: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    closed: Mapped[bool]
    matched_by: Mapped[str] = mapped_column(String(24))
    study_uid: Mapped[str] = mapped_column(UID)
    job_id: Mapped[str] = mapped_column(JobId)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
    checked_at: Mapped[datetime] = mapped_column(UtcTime)
    reported_at: Mapped[datetime | None] = mapped_column(UtcTime)
    matched_at: Mapped[datetime | None] = mapped_column(UtcTime)
    accession_number: Mapped[str] = mapped_column(String(64))
    given_study_uid: Mapped[str] = mapped_column(UID)
    patient_id: Mapped[str] = mapped_column(String(64))
    issuer: Mapped[str] = mapped_column(String(64))
    study_date: Mapped[str] = mapped_column(String(8))
    labeler: Mapped[str] = mapped_column(String(32))
    labels: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    sides: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    words: Mapped[int] = mapped_column(Integer)
    changed_share: Mapped[float | None] = mapped_column(Float)
    kept_share: Mapped[float | None] = mapped_column(Float)
    text: Mapped[str | None] = mapped_column(Text)


class Hl7MessageRow(Base):
    """The number of HL7 messages with one result."""

    __tablename__ = "hl7_messages"

    result: Mapped[str] = mapped_column(String(32), primary_key=True)
    count: Mapped[int] = mapped_column(Counter)
    last_at: Mapped[datetime] = mapped_column(UtcTime)
