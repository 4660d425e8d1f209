"""The answering of questions by workers: claim, extend, end, hand back; and what the sweeper does."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from service.database.question_tables import QuestionRow
from service.errors import LeaseLost
from service.review.questions import (
    FAULT_TEXT,
    MOST_ATTEMPTS,
    Question,
    QuestionAnswer,
    QuestionFault,
    QuestionState,
)
from service.store.review import question_rows
from service.store.session import Transactions
from service.store.stop_in_force import stop_in_force
from service.store.transitions import NO_LEASE, changed_rows

_TRIED_AGAIN: Final = "Its worker was lost: the question is answered by the next one."


class QuestionClaims(Transactions):
    """The part of the store by which workers answer questions."""

    def claim_question(
        self, question_id: str, owner: str, lease_seconds: float, *, model: str
    ) -> Question | None:
        """Claim a waiting question for `owner`; return it, or None if it cannot be claimed."""
        now = self.now()
        waiting = update(QuestionRow).where(
            QuestionRow.id == question_id,
            QuestionRow.state == QuestionState.WAITING.value,
            QuestionRow.model_name == model,
        )
        values = {
            "state": QuestionState.ANSWERING.value,
            "fence": QuestionRow.fence + 1,
            "attempts": QuestionRow.attempts + 1,
            "lease_owner": owner,
            "lease_until": now + timedelta(seconds=lease_seconds),
            "begun_at": now,
            "updated_at": now,
            "reason": "",
        }
        with self._writing() as session:
            if stop_in_force(session) is not None:
                return None
            if not changed_rows(session, waiting.values(**values)):
                return None
            return question_rows.question(question_rows.row_of(session, question_id))

    def extend_question(self, question: Question, lease_seconds: float) -> None:
        """Extend the claim of a question.

        Raises:
            LeaseLost: It was taken back, canceled or removed.
        """
        until = self.now() + timedelta(seconds=lease_seconds)
        with self._writing() as session:
            _change(session, question, lease_until=until)

    def answer_question(self, question: Question, answer: QuestionAnswer) -> None:
        """End a claimed question with its answer.

        Raises:
            LeaseLost: The claim no longer holds it; nothing was written.
        """
        self._end_question(
            question,
            QuestionState.ANSWERED,
            answer=answer.text,
            model=answer.model,
            model_version=answer.version,
            model_weights=answer.weights_sha256,
            prompt_sha256=answer.prompt_sha256,
            earlier=answer.earlier,
        )

    def fail_question(self, question: Question, fault: QuestionFault, reason: str = "") -> None:
        """End a claimed question without an answer; `reason` replaces the fault's own sentence.

        Raises:
            LeaseLost: The claim no longer holds it; nothing was written.
        """
        sentence = reason or FAULT_TEXT[fault]
        self._end_question(question, QuestionState.FAILED, fault=fault.value, reason=sentence)

    def _end_question(self, question: Question, state: QuestionState, **values: Any) -> None:  # noqa: ANN401 - column values
        now = self.now()
        ended = {"state": state.value, "ended_at": now, "updated_at": now, **NO_LEASE, **values}
        with self._writing() as session:
            _change(session, question, **ended)

    def hand_back_question(self, question: Question, reason: str, *, counted: bool = True) -> None:
        """Let a claimed question wait again; the sweeper publishes it.

        Args:
            question: The question, as claimed.
            reason: Why, a sentence.
            counted: Whether the attempt counts.

        Raises:
            LeaseLost: The claim no longer holds it; nothing was written.
        """
        attempts = question.attempts if counted else question.attempts - 1
        with self._writing() as session:
            waits = _waiting_again(self.now(), reason)
            _change(session, question, attempts=attempts, **waits)

    def hand_back_questions(self, owner: str) -> None:
        """Let the questions that a stopping worker holds wait again; the attempts do not count."""
        held = update(QuestionRow).where(
            QuestionRow.state == QuestionState.ANSWERING.value, QuestionRow.lease_owner == owner
        )
        waits = _waiting_again(self.now(), "Its worker was stopped.")
        with self._writing() as session:
            changed_rows(session, held.values(attempts=QuestionRow.attempts - 1, **waits))

    def has_open_questions(self) -> bool:
        """Return whether a question waits or is being answered."""
        with self._reading() as session:
            found = session.scalar(select(QuestionRow.id).where(question_rows.is_open()).limit(1))
            return found is not None

    def due_questions(self, published_before: datetime) -> list[Question]:
        """Return the waiting questions that were not published since a time."""
        is_due = QuestionRow.published_at.is_(None) | (QuestionRow.published_at < published_before)
        return self._waiting_questions(is_due)

    def next_question(self, model: str, created_before: datetime | None = None) -> str | None:
        """Return the id of the question to a model that has waited longest, or None."""
        chosen = QuestionRow.model_name == model
        if created_before is not None:
            chosen &= QuestionRow.created_at <= created_before
        found = self._waiting_questions(chosen, limit=1)
        return found[0].id if found else None

    def _waiting_questions(self, chosen: ColumnElement[bool], limit: int = 500) -> list[Question]:
        waiting = select(QuestionRow).where(
            question_rows.is_open(), QuestionRow.state == QuestionState.WAITING.value, chosen
        )
        with self._reading() as session:
            found = session.scalars(waiting.order_by(QuestionRow.created_at).limit(limit))
            return [question_rows.question(row) for row in found]

    def mark_questions_published(self, question_ids: Sequence[str], at: datetime | None) -> None:
        """Record when questions were published; None: they could not be."""
        with self._writing() as session:
            chosen = update(QuestionRow).where(QuestionRow.id.in_(list(question_ids)))
            changed_rows(session, chosen.values(published_at=at))

    def take_back_questions(self) -> int:
        """Let questions of silent workers wait again, or fail them; return how many there were."""
        now = self.now()
        lapsed = update(QuestionRow).where(
            QuestionRow.state == QuestionState.ANSWERING.value, QuestionRow.lease_until <= now
        )
        again = lapsed.where(QuestionRow.attempts < MOST_ATTEMPTS)
        lost = _failed(now, QuestionFault.WORKER_LOST)
        with self._writing() as session:
            count = changed_rows(session, again.values(**_waiting_again(now, _TRIED_AGAIN)))
            return count + changed_rows(session, lapsed.values(**lost))

    def end_unanswered(self, asked_before: datetime) -> int:
        """Fail the questions that have waited since before a time; return how many there were."""
        waiting = update(QuestionRow).where(
            QuestionRow.state == QuestionState.WAITING.value, QuestionRow.created_at < asked_before
        )
        with self._writing() as session:
            return changed_rows(
                session, waiting.values(**_failed(self.now(), QuestionFault.NO_WORKER))
            )


def _change(session: Session, question: Question, **values: Any) -> None:  # noqa: ANN401 - column values
    """Change a question that its claim still holds.

    Raises:
        LeaseLost: It does not.
    """
    held = update(QuestionRow).where(
        QuestionRow.id == question.id,
        QuestionRow.fence == question.fence,
        QuestionRow.state == QuestionState.ANSWERING.value,
    )
    if not changed_rows(session, held.values(**values)):
        raise LeaseLost(f"question {question.id[:8]}: claim {question.fence} no longer holds it")


def _waiting_again(now: datetime, reason: str) -> dict[str, Any]:
    waits = {"state": QuestionState.WAITING.value, "reason": reason, "updated_at": now}
    return {**waits, "begun_at": None, "published_at": None, **NO_LEASE}


def _failed(now: datetime, fault: QuestionFault) -> dict[str, Any]:
    ended = {"state": QuestionState.FAILED.value, "ended_at": now, "updated_at": now}
    return {**ended, "fault": fault.value, "reason": FAULT_TEXT[fault], **NO_LEASE}
