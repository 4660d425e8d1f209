"""Questions about images: asked and canceled by a person, listed, removed with the images."""

import zlib
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.question_tables import QuestionRow
from service.database.spooled_images import spooled_images
from service.errors import NotFound
from service.records import JobWithDraft
from service.review.conflicts import CannotAsk, KeyReused, TooManyQuestions
from service.review.questions import (
    FAULT_TEXT,
    NewQuestion,
    Question,
    QuestionFault,
    QuestionState,
)
from service.store.audit.append import Audited
from service.store.review import question_rows
from service.store.review.texts import lock_job
from service.store.stop_in_force import stop_in_force
from service.store.transitions import NO_LEASE, changed_rows

_HOUR: Final = timedelta(hours=1)
_STILL_OPEN: Final = (
    "Your earlier question about this image is not answered yet. Wait, or cancel it."
)


class Questions(Audited):
    """The part of the store that holds questions and answers."""

    def ask(
        self,
        new: NewQuestion,
        job: JobWithDraft,
        most_an_hour: int,
        audit: AuditEvent | None = None,
    ) -> tuple[Question, bool]:
        """Store a question; return it, and whether it is new.

        Args:
            new: The question; a repetition of an earlier request finds that one's.
            job: Its job, which has a draft.
            most_an_hour: Most questions of one person in an hour.
            audit: The record for the audit trail, in the same transaction; a repetition writes none.

        Raises:
            NotFound: There is no such job.
            KeyReused: The key belongs to another question of this person.
            CannotAsk: An earlier question of this person about this draft is open, or drafting is
                stopped.
            TooManyQuestions: The person has asked too many.
        """
        with self._writing() as session:
            lock_job(session, new.job_id)
            # Of one person, requests about different studies count together: one at a time.
            self._exclusive(session, zlib.crc32(new.person.id.encode()))
            before = self._asked_before(session, new)
            if before is not None:
                return before, False
            self._check_may_ask(session, new, most_an_hour)
            row = question_rows.new_row(new, job, self.now())
            session.add(row)
            session.flush()
            self._audit(session, audit, study_uid=row.study_instance_uid, job_id=row.job_id)
            return question_rows.question(row), True

    def _asked_before(self, session: Session, new: NewQuestion) -> Question | None:
        row = session.scalar(
            select(QuestionRow).where(
                QuestionRow.person_id == new.person.id, QuestionRow.idempotency_key == new.key
            )
        )
        if row is None:
            return None
        if (row.job_id, row.kind, row.text) != (new.job_id, new.kind.value, new.text):
            raise KeyReused("the Idempotency-Key belongs to another question")
        return question_rows.question(row)

    def _check_may_ask(self, session: Session, new: NewQuestion, most_an_hour: int) -> None:
        if stop_in_force(session) is not None:
            raise CannotAsk(FAULT_TEXT[QuestionFault.STOPPED])
        own = select(QuestionRow).where(QuestionRow.person_id == new.person.id)
        if session.scalar(
            own.where(QuestionRow.job_id == new.job_id, question_rows.is_open()).limit(1)
        ):
            raise CannotAsk(_STILL_OPEN)
        since = self.now() - _HOUR
        recent = session.scalars(
            own.where(QuestionRow.created_at > since).order_by(QuestionRow.created_at)
        ).all()
        if len(recent) >= most_an_hour:
            wait = recent[-most_an_hour].created_at + _HOUR - self.now()
            raise TooManyQuestions(most_an_hour, max(1, round(wait.total_seconds())))

    def question(self, question_id: str) -> Question:
        """Return a question.

        Raises:
            NotFound: There is none with this id; questions are removed with the images.
        """
        with self._reading() as session:
            return question_rows.question(question_rows.row_of(session, question_id))

    def questions(self, study_uid: str) -> list[Question]:
        """Return the questions about a study, in the order in which they were asked."""
        chosen = select(QuestionRow).where(QuestionRow.study_instance_uid == study_uid)
        with self._reading() as session:
            found = session.scalars(chosen.order_by(QuestionRow.created_at, QuestionRow.id))
            return [question_rows.question(row) for row in found]

    def earlier_answers(self, question: Question, most: int) -> list[Question]:
        """Return the latest answered questions of the same person about the same image, in order."""
        chosen = select(QuestionRow).where(
            QuestionRow.person_id == question.person_id,
            QuestionRow.sop_instance_uid == question.image,
            QuestionRow.study_instance_uid == question.study_instance_uid,
            QuestionRow.model_name == question.model_name,
            QuestionRow.state == QuestionState.ANSWERED.value,
            QuestionRow.created_at < question.created_at,
        )
        with self._reading() as session:
            latest = session.scalars(chosen.order_by(QuestionRow.created_at.desc()).limit(most))
            return [question_rows.question(row) for row in latest][::-1]

    def questions_ahead(self, question: Question) -> int:
        """Return how many open questions to the same model were asked before this one."""
        ahead = (
            select(func.count())
            .select_from(QuestionRow)
            .where(
                question_rows.is_open(),
                QuestionRow.model_name == question.model_name,
                QuestionRow.created_at < question.created_at,
            )
        )
        with self._reading() as session:
            return session.scalar(ahead) or 0

    def cancel_question(
        self, question_id: str, person_id: str, audit: AuditEvent | None = None
    ) -> Question:
        """Cancel an open question of a person; return it. One that has ended stays as it is.

        Args:
            question_id: The question.
            person_id: The person, who must have asked it.
            audit: The record for the audit trail, in the same transaction, if it is canceled now.

        Raises:
            NotFound: There is no such question of this person.
        """
        now = self.now()
        is_own = (QuestionRow.id == question_id) & (QuestionRow.person_id == person_id)
        canceled = {"state": QuestionState.CANCELED.value, "ended_at": now, "updated_at": now}
        with self._writing() as session:
            is_canceled = changed_rows(
                session,
                update(QuestionRow)
                .where(is_own, question_rows.is_open())
                .values(**canceled, **NO_LEASE),
            )
            row = session.scalar(select(QuestionRow).where(is_own))
            if row is None:
                raise NotFound("There is no such question of yours.")
            if is_canceled:
                self._audit(session, audit, study_uid=row.study_instance_uid, job_id=row.job_id)
            return question_rows.question(row)

    def remove_questions(self, study_uid: str) -> None:
        """Remove the questions about a study of which no image is left."""
        gone = delete(QuestionRow).where(
            QuestionRow.study_instance_uid == study_uid, ~spooled_images(study_uid).exists()
        )
        with self._writing() as session:
            session.execute(gone)

    def question_counts(self) -> dict[QuestionState, int]:
        """Return the number of stored questions by state."""
        counted = select(QuestionRow.state, func.count()).group_by(QuestionRow.state)
        with self._reading() as session:
            found = {str(state): int(count) for state, count in session.execute(counted)}
        return {state: found.get(state.value, 0) for state in QuestionState}
