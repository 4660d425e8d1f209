"""The tables of withheld drafts. No patient attribute."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import Base, UtcTime

_IS_WITHHELD = text("released_at IS NULL")


class WithheldDraftRow(Base):
    """A draft that is or was withheld.

    Attributes:
        destinations: Where it is sent when it is released.
        until: When it is released at the latest.
        release: Why it was released (`service.drift.withholding.Release`); "" while it is withheld.
    """

    __tablename__ = "withheld_drafts"
    __table_args__ = (
        # The sweeper looks for these each minute, and there are few.
        Index(
            "ix_withheld_drafts_open",
            "withheld_at",
            sqlite_where=_IS_WITHHELD,
            postgresql_where=_IS_WITHHELD,
        ),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    destinations: Mapped[list[str]] = mapped_column(JSON)
    withheld_at: Mapped[datetime] = mapped_column(UtcTime)
    until: Mapped[datetime] = mapped_column(UtcTime)
    released_at: Mapped[datetime | None] = mapped_column(UtcTime)
    release: Mapped[str] = mapped_column(String(16))


class WithholdingKeyRow(Base):
    """The secret of the installation by which studies are chosen; one row, `id` 1."""

    __tablename__ = "withholding_keys"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(64))
