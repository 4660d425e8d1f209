"""The table of questions about images; a question's text may name a patient. Removed with the images."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.review_tables import PersonId, PersonName
from service.database.tables import UID, Base, JobId, UtcTime

_IS_OPEN = text("state IN ('WAITING', 'ANSWERING')")


class QuestionRow(Base):
    """A question about the image of a draft, and the model's answer.

    Attributes:
        sop_instance_uid: The image.
        model_name: Name of the model in the settings.
        fault: Why there is no answer (`QuestionFault`), or "".
        model: The model's own name, once it has answered; "" before. So are the columns after it.
        earlier: Number of earlier questions and answers in the prompt.
        published_at: When it was last published to the workers; NULL if it is to be published.
        fence: Number of the latest claim.
    """

    __tablename__ = "questions"
    __table_args__ = (
        UniqueConstraint("person_id", "idempotency_key"),
        Index("ix_questions_person_id_created_at", "person_id", "created_at"),
        # A partial index: workers and sweeper query the open ones each second, and there are few.
        Index(
            "ix_questions_open",
            "created_at",
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
    )

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    model_name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    person_id: Mapped[str] = mapped_column(PersonId)
    person_name: Mapped[str] = mapped_column(PersonName)
    idempotency_key: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    fault: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(64))
    model_weights: Mapped[str] = mapped_column(String(64))
    prompt_sha256: Mapped[str] = mapped_column(String(64))
    earlier: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    begun_at: Mapped[datetime | None] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcTime)
    attempts: Mapped[int] = mapped_column(Integer)
    fence: Mapped[int] = mapped_column(Integer)
    lease_owner: Mapped[str] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
