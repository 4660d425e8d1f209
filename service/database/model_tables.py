"""The tables of models beside the jobs: readings by shadow models.

jobs ─< shadow_readings
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, JobId, UtcTime


class ShadowReadingRow(Base):
    """One reading of a job's study by a shadow model; removed with the images of the study.

    Nothing that makes, lists or sends results reads this table.

    Attributes:
        prompt_sha256: Of the prompt in the draft; "" without a draft.
        claimed_at: When the latest attempt began.
        owner: The worker of the latest attempt.
        lease_until: When another worker may take an unfinished reading; NULL when it has ended.
        seconds: Time of the reading, from the first image to the text.
        comparison: With the draft of the job, see `service.records.shadow`; NULL without a draft.
    """

    __tablename__ = "shadow_readings"
    __table_args__ = (
        UniqueConstraint("job_id", "model_name", "model_version"),
        Index("ix_shadow_readings_model_name_claimed_at", "model_name", "claimed_at"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    job_id: Mapped[str] = mapped_column(JobId, ForeignKey("jobs.id"))
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    model_name: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    owner: Mapped[str] = mapped_column(String(128))
    claimed_at: Mapped[datetime] = mapped_column(UtcTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    seconds: Mapped[float | None] = mapped_column(Float)
    prompt_sha256: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)
    draft: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    comparison: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
