"""Maps rows of questions to records."""

from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from service.database.question_tables import QuestionRow
from service.errors import NotFound
from service.records import JobWithDraft
from service.review.decision import Reviewer
from service.review.questions import (
    OPEN,
    NewQuestion,
    Question,
    QuestionAnswer,
    QuestionFault,
    QuestionKind,
    QuestionState,
)
from service.store.session import new_id

_OPEN: Final = tuple(state.value for state in OPEN)


def is_open() -> ColumnElement[bool]:
    """Return the condition that an answer may still come."""
    return QuestionRow.state.in_(_OPEN)


def row_of(session: Session, question_id: str) -> QuestionRow:
    """Return the row of a question, as it is in the database.

    Raises:
        NotFound: There is none.
    """
    row = session.get(QuestionRow, question_id, populate_existing=True)
    if row is None:
        raise NotFound("There is no such question.")
    return row


def new_row(new: NewQuestion, job: JobWithDraft, now: datetime) -> QuestionRow:
    """Return the row of a question that waits."""
    unanswered = ("fault", "reason", "answer", "model", "model_version", "model_weights")
    return QuestionRow(
        id=new_id(),
        study_instance_uid=job.study_instance_uid,
        job_id=job.id,
        sop_instance_uid=job.drafted_image,
        model_name=job.model_name,
        kind=new.kind.value,
        text=new.text,
        person_id=new.person.id,
        person_name=new.person.name,
        idempotency_key=new.key,
        state=QuestionState.WAITING.value,
        prompt_sha256="",
        earlier=0,
        created_at=now,
        updated_at=now,
        attempts=0,
        fence=0,
        lease_owner="",
        **dict.fromkeys(unanswered, ""),
    )


def question(row: QuestionRow) -> Question:
    """Return the record of a question."""
    return Question(
        id=row.id,
        study_instance_uid=row.study_instance_uid,
        job_id=row.job_id,
        image=row.sop_instance_uid,
        model_name=row.model_name,
        kind=QuestionKind(row.kind),
        text=row.text,
        person_id=row.person_id,
        person=Reviewer(id=row.person_id, name=row.person_name, organization="").display_name,
        state=QuestionState(row.state),
        fault=QuestionFault(row.fault) if row.fault else None,
        reason=row.reason,
        answer=_answer(row) if row.state == QuestionState.ANSWERED.value else None,
        created_at=row.created_at,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        attempts=row.attempts,
        fence=row.fence,
    )


def _answer(row: QuestionRow) -> QuestionAnswer:
    return QuestionAnswer(
        text=row.answer,
        model=row.model,
        version=row.model_version,
        weights_sha256=row.model_weights,
        prompt_sha256=row.prompt_sha256,
        earlier=row.earlier,
    )
