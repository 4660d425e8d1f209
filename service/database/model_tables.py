"""The tables of models beside the jobs: shadow readings, stops of drafting, choices, loaded models.

jobs ─< shadow_readings     drafting_stops     model_choices     loaded_models
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
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


class DraftingStopRow(Base):
    """One time for which a person stopped drafting; drafting is stopped while `started_at` is NULL.

    Attributes:
        requeued_at: When all jobs that got a notice instead of a draft waited again; NULL before.
    """

    __tablename__ = "drafting_stops"
    __table_args__ = (
        # At most one stop holds.
        Index(
            "ux_drafting_stops_holds",
            "holds",
            unique=True,
            sqlite_where=text("holds = 1"),
            postgresql_where=text("holds"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    holds: Mapped[bool] = mapped_column(Boolean)
    stopped_at: Mapped[datetime] = mapped_column(UtcTime)
    stopped_by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime | None] = mapped_column(UtcTime)
    started_by: Mapped[str] = mapped_column(String(128))
    requeued_at: Mapped[datetime | None] = mapped_column(UtcTime)


class ModelChoiceRow(Base):
    """A person's choice of the model that reads new studies; the latest row holds."""

    __tablename__ = "model_choices"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    chosen_by: Mapped[str] = mapped_column(String(128))
    model_name: Mapped[str] = mapped_column(String(64))


class LoadedModelRow(Base):
    """What the latest reading worker of a role on a host has loaded.

    Attributes:
        role: The worker's role in heartbeats.
        facts: Values of `service.records.models.LoadedModel` that pages show.
    """

    __tablename__ = "loaded_models"

    role: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    model_name: Mapped[str] = mapped_column(String(64))
    loaded_at: Mapped[datetime] = mapped_column(UtcTime)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
