"""The table of the storage commitment reports that are owed to peers."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, UtcTime

_IS_OWED = text("state = 'OWED'")


class CommitmentReportRow(Base):
    """One report over an association of our own (PS3.4 J.3.3).

    Attributes:
        instances: The requested Instances, `[SOP Class UID, SOP Instance UID]` each.
        failures: Failure Reason by SOP Instance UID, as last determined; NULL until then.
        fence: Counts the claims: a change by an earlier claim is not made.
        lease_until: Until when the latest claim holds; NULL: nothing sends it now.
        next_at: When the next attempt is due.
    """

    __tablename__ = "commitment_reports"
    __table_args__ = (
        UniqueConstraint("ae_title", "transaction_uid"),
        # A partial index: the sender queries each second, and few reports are owed.
        Index(
            "ix_commitment_reports_owed",
            "next_at",
            sqlite_where=_IS_OWED,
            postgresql_where=_IS_OWED,
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(UID)
    ae_title: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int] = mapped_column(Integer)
    instances: Mapped[list[list[str]]] = mapped_column(JSON)
    failures: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    fence: Mapped[int] = mapped_column(Integer)
    lease_owner: Mapped[str] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    next_at: Mapped[datetime] = mapped_column(UtcTime)
    last_error: Mapped[str] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
