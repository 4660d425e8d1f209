"""Queries for decisions."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from service.database.review_tables import DecisionRow, UndoRow
from service.database.tables import InstanceRow
from service.errors import NotFound
from service.records import Position
from service.review.decision import Decision
from service.store.review import mapping
from service.store.session import Transactions


class DecisionQueries(Transactions):
    """The part of the store that finds decisions."""

    def decision(self, decision_id: str) -> Decision:
        """Return a decision.

        Raises:
            NotFound: There is no such decision.
        """
        with self._reading() as session:
            return decision_of(session, decision_id)

    def has_uncompared_copy(self, image_uid: str) -> bool:
        """Return whether another copy of an image arrived that has not been compared with it yet."""
        with self._reading() as session:
            return is_copy_uncompared(session, image_uid)

    def is_decided(self, reviewer_id: str, key: str) -> bool:
        """Return whether a request of this person with this idempotency key has made a decision."""
        chosen = select(DecisionRow.id).where(
            DecisionRow.reviewer_id == reviewer_id, DecisionRow.idempotency_key == key
        )
        with self._reading() as session:
            return session.scalar(chosen) is not None

    def standing_decisions(self, job_ids: Sequence[str]) -> dict[str, Decision]:
        """Return the decision that stands on each of these jobs' drafts, by job id."""
        chosen = with_undo().where(DecisionRow.job_id.in_(job_ids), UndoRow.decision_id.is_(None))
        with self._reading() as session:
            found = session.execute(chosen.order_by(DecisionRow.number))
            return {row.job_id: mapping.decision(row, undone) for row, undone in found}

    def decisions(
        self,
        *,
        job_id: str | None = None,
        reviewer_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | Position | None = None,
        limit: int = 100,
    ) -> list[Decision]:
        """Return decisions, the latest first, undone ones included.

        Args:
            job_id: Only on this job's draft.
            reviewer_id: Only of this person.
            since: Only those made at this time or later.
            until: Only those made before.
            before: Only those made before the decision with this id, or this position: the next page.
            limit: Most decisions to return.

        Raises:
            NotFound: There is no decision with the id `before`.
        """
        chosen = with_undo().order_by(DecisionRow.at.desc(), DecisionRow.id.desc()).limit(limit)
        if job_id is not None:
            chosen = chosen.where(DecisionRow.job_id == job_id)
        if reviewer_id is not None:
            chosen = chosen.where(DecisionRow.reviewer_id == reviewer_id)
        if since is not None:
            chosen = chosen.where(DecisionRow.at >= since)
        if until is not None:
            chosen = chosen.where(DecisionRow.at < until)
        with self._reading() as session:
            if before is not None:
                mark = _place(session, before)
                chosen = chosen.where(_earlier_than(mark))
            return [mapping.decision(row, undone) for row, undone in session.execute(chosen)]

    def decisions_made(self, reviewer_id: str, *, since: datetime) -> int:
        """Return how many decisions of a person since this time stand."""
        made = (
            select(func.count(DecisionRow.id))
            .outerjoin(UndoRow, UndoRow.decision_id == DecisionRow.id)
            .where(
                DecisionRow.reviewer_id == reviewer_id,
                DecisionRow.at >= since,
                UndoRow.decision_id.is_(None),
            )
        )
        with self._reading() as session:
            return session.scalar(made) or 0


def standing_decision(session: Session, job_id: str) -> Decision | None:
    """Return the latest decision on a draft that was not undone; None if there is none."""
    chosen = with_undo().where(DecisionRow.job_id == job_id, UndoRow.decision_id.is_(None))
    found = session.execute(chosen.order_by(DecisionRow.number.desc()).limit(1)).first()
    return mapping.decision(*found) if found else None


def with_undo() -> Select[DecisionRow, datetime]:
    """Return the query for decisions with the time of their undo, NULL for none."""
    return select(DecisionRow, UndoRow.at).outerjoin(UndoRow, UndoRow.decision_id == DecisionRow.id)


def decision_of(session: Session, decision_id: str) -> Decision:
    """Return a decision.

    Raises:
        NotFound: There is no such decision.
    """
    found = session.execute(with_undo().where(DecisionRow.id == decision_id)).first()
    if found is None:
        raise NotFound(f"there is no decision {decision_id[:8]!a}")
    return mapping.decision(*found)


def _place(session: Session, before: Position | str) -> Position:
    if isinstance(before, Position):
        return before
    found = decision_of(session, before)
    return Position(at=found.at, id=found.id)


def _earlier_than(mark: Position) -> ColumnElement[bool]:
    same = and_(DecisionRow.at == mark.at, DecisionRow.id < mark.id)
    return or_(DecisionRow.at < mark.at, same)


def is_copy_uncompared(session: Session, image_uid: str) -> bool:
    """Return whether a copy of an image has not been compared with it yet."""
    waiting = select(InstanceRow.id).where(
        InstanceRow.sop_instance_uid == image_uid,
        InstanceRow.conflict,
        InstanceRow.compared_at.is_(None),
    )
    return session.scalar(waiting.limit(1)) is not None
