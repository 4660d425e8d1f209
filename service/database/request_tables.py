"""The table of idempotency keys of the JSON API."""

from datetime import datetime

from sqlalchemy import Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import Base, UtcTime


class IdempotencyKeyRow(Base):
    """One key of one person or program, for 24 hours.

    Attributes:
        digest: SHA-256 of method, path and body of the request.
        fence: Counts the claims; an older one can no longer act.
        claimed_at: When the request that may act began.
        acted_at: When its first change was committed; NULL before.
        status: Status of the response; NULL until it is stored.
        response: JSON text of the response.
    """

    __tablename__ = "idempotency_keys"

    principal: Mapped[str] = mapped_column(String(80), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    fence: Mapped[int] = mapped_column(Integer)
    claimed_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    acted_at: Mapped[datetime | None] = mapped_column(UtcTime)
    status: Mapped[int | None] = mapped_column(Integer)
    response: Mapped[str | None] = mapped_column(Text)
