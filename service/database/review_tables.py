"""The tables of reviews and decisions. Report texts of persons may name a patient.

jobs ─┬─ review_drafts        decisions ─┬─ decision_undos
      ├─< review_opens                   ├─ verified_reports
      └─< decisions                      └─< author_notices
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base, Counter, JobId, UtcTime

PersonId = String(64)
# A PN value has up to three component groups of 64 characters, and two delimiters.
PersonName = String(194)
DecisionId = String(32)


class ReviewRow(Base):
    """The text of a draft's review as last stored; each change counts the version up."""

    __tablename__ = "review_drafts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    reviewer_id: Mapped[str] = mapped_column(PersonId)
    reviewer_name: Mapped[str] = mapped_column(PersonName)
    at: Mapped[datetime] = mapped_column(UtcTime)


class OpenRow(Base):
    """A person who has a draft open, and when the page last reported it."""

    __tablename__ = "review_opens"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    reviewer_id: Mapped[str] = mapped_column(PersonId, primary_key=True)
    reviewer_name: Mapped[str] = mapped_column(PersonName)
    seen_at: Mapped[datetime] = mapped_column(UtcTime, index=True)


class DecisionRow(Base):
    """A person's decision on a draft; rows are only inserted.

    Attributes:
        number: Counts the decisions on a draft; unique, so that of two at once one is refused.
        amends: The earlier decision that it amends; "" for none.
        idempotency_key: Of the request; a repeated request finds the row of the first.
        request_digest: SHA-256 of the request's body, to distinguish a repetition from another request.
        reason: The person's words for a rejection, or "".
        opcodes: Aligned sentences and words of both texts.
        share: Distance over the words of the longer text; NULL where both are empty.
        positive: Observations that the draft states as present or uncertain.
        verdicts: The person's verdict by observation, as far as the decision shows one.
        device: Calling AE of the job.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        UniqueConstraint("reviewer_id", "idempotency_key"),
        Index("ix_decisions_at_id", "at", "id"),
    )

    id: Mapped[str] = mapped_column(DecisionId, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    number: Mapped[int] = mapped_column(Integer)
    amends: Mapped[str] = mapped_column(DecisionId)
    idempotency_key: Mapped[str] = mapped_column(String(64))
    request_digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UtcTime)
    undo_until: Mapped[datetime] = mapped_column(UtcTime)
    reviewer_id: Mapped[str] = mapped_column(PersonId)
    reviewer_name: Mapped[str] = mapped_column(PersonName)
    reviewer_organization: Mapped[str] = mapped_column(Text)
    reviewer_code: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    verdict: Mapped[str] = mapped_column(String(16))
    rejection: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)
    acceptability: Mapped[int | None] = mapped_column(Integer)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    draft_findings: Mapped[list[str]] = mapped_column(JSON)
    draft_impression: Mapped[list[str]] = mapped_column(JSON)
    distance: Mapped[int] = mapped_column(Integer)
    share: Mapped[float | None] = mapped_column(Float)
    sentences: Mapped[int] = mapped_column(Integer)
    kept: Mapped[int] = mapped_column(Integer)
    opcodes: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    seconds: Mapped[float] = mapped_column(Float)
    seconds_image: Mapped[float | None] = mapped_column(Float)
    seconds_draft: Mapped[float | None] = mapped_column(Float)
    base_version: Mapped[int] = mapped_column(Integer)
    positive: Mapped[list[str]] = mapped_column(JSON)
    verdicts: Mapped[dict[str, str]] = mapped_column(JSON, server_default="{}")
    device: Mapped[str] = mapped_column(String(16))
    model_name: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(64))
    model_weights: Mapped[str] = mapped_column(String(64))
    draft_uid: Mapped[str] = mapped_column(UID)


class UndoRow(Base):
    """The undo of a decision: at most one, and only before anything was sent."""

    __tablename__ = "decision_undos"

    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)


class VerifiedRow(Base):
    """The verified report of a decision, once it is built and stored.

    Attributes:
        revision: 1 for the first verified report of a draft, then counting up.
        predecessor_uid: SOP Instance UID of the draft report or of the amended verified report.
    """

    __tablename__ = "verified_reports"
    __table_args__ = (UniqueConstraint("job_id", "revision"),)

    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    job_id: Mapped[str] = mapped_column(JobId)
    revision: Mapped[int] = mapped_column(Integer)
    made_at: Mapped[datetime] = mapped_column(UtcTime)
    sop_class_uid: Mapped[str] = mapped_column(UID)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID)
    predecessor_uid: Mapped[str] = mapped_column(UID)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))


class AuthorNoticeRow(Base):
    """A notice to the author of a verified report, once for each cause."""

    __tablename__ = "author_notices"
    __table_args__ = (UniqueConstraint("decision_id", "kind", "subject"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"))
    reviewer_id: Mapped[str] = mapped_column(PersonId, index=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime | None] = mapped_column(UtcTime)
