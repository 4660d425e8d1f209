"""The table of the audit trail, and how far it was sent to syslog; records are only added."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, JobId, UtcTime


class AuditRow(Base):
    """One record; triggers of the database refuse changes and removals.

    Attributes:
        id: Given by the store, without gaps.
        digest: SHA-256 of the record and `previous`, the digest of the record before.
    """

    __tablename__ = "audit_records"
    # `ix_audit_records_actor_prefix` has another collation in each database: see migration 0039.
    __table_args__ = (
        Index("ix_audit_records_person_id", "person_id", "id"),
        Index("ix_audit_records_study_uid", "study_uid", "id"),
        Index("ix_audit_records_patient_id", "patient_id", "id"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    action: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(128))
    person_id: Mapped[str] = mapped_column(JobId)
    address: Mapped[str] = mapped_column(String(64))
    study_uid: Mapped[str] = mapped_column(UID)
    patient_id: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(JobId)
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class AuditPositionRow(Base):
    """The id of the last record that a receiver of the trail has taken."""

    __tablename__ = "audit_positions"

    receiver: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    sent_at: Mapped[datetime] = mapped_column(UtcTime)
