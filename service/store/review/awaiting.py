"""The drafts that await a decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from service.accounts import Role
from service.database.account_tables import PersonRow
from service.database.review_tables import DecisionRow, UndoRow
from service.database.tables import JobRow
from service.jobs import JobState, ReasonCode
from service.records import JobWithDraft
from service.store import record_mapping
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingDrafts:
    """Drafts that await a decision.

    Attributes:
        jobs: Their jobs: the urgent ones first, then the oldest.
        unlisted: How many more there are since the requested time.
    """

    jobs: Sequence[JobWithDraft]
    unlisted: int


class Awaiting(Transactions):
    """The part of the store that finds the drafts without a decision."""

    def awaiting_decision(self, since: datetime, *, limit: int) -> AwaitingDrafts:
        """Return the drafts without a decision that stands.

        Left out are withdrawn and superseded drafts, those of canceled jobs, and those whose images were
        removed: nothing is to be decided about them.

        Args:
            since: Only drafts of jobs made at this time or later are listed.
            limit: Most jobs to return.
        """
        order = (JobRow.urgent.desc(), JobRow.created_at, JobRow.id)
        with self._reading() as session:
            listed = _undecided(select(JobRow)).where(JobRow.created_at >= since)
            rows = session.scalars(listed.order_by(*order).limit(limit)).all()
            counted = _undecided(select(func.count()).select_from(JobRow))
            total = session.scalar(counted.where(JobRow.created_at >= since)) or 0
            jobs = tuple(record_mapping.job(row) for row in rows)
        return AwaitingDrafts(jobs=jobs, unlisted=total - len(jobs))

    def awaiting_removal(self, created_before: datetime) -> int:
        """Return how many drafts of jobs made before this time await a person who may decide."""
        counted = _undecided(select(func.count()).select_from(JobRow))
        with self._reading() as session:
            found = counted.where(JobRow.created_at < created_before, has_radiologist())
            return session.scalar(found) or 0

    def older_awaiting(self, before: datetime, *, most: int) -> int:
        """Return how many drafts of jobs made before this time have no decision that stands.

        The count ends at `most` + 1: a site without decisions has as many as it has drafts.
        """
        older = _undecided(select(JobRow.id)).where(JobRow.created_at < before).limit(most + 1)
        with self._reading() as session:
            return session.scalar(select(func.count()).select_from(older.subquery())) or 0


def awaits_decision() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a job whose draft has no decision that stands."""
    decided = (
        select(DecisionRow.id)
        .outerjoin(UndoRow, UndoRow.decision_id == DecisionRow.id)
        .where(DecisionRow.job_id == JobRow.id, UndoRow.decision_id.is_(None))
    )
    return (
        JobRow.draft.is_not(None),
        JobRow.superseded_by.is_(None),
        JobRow.removed_at.is_(None),
        JobRow.reason_code.not_in((ReasonCode.RECALLED.value, ReasonCode.WITHHELD.value)),
        JobRow.state != JobState.CANCELED.value,
        ~decided.exists(),
        not_a_probe(JobRow.study_instance_uid),
    )


def has_radiologist() -> ColumnElement[bool]:
    """Return the condition that an account in force has the role radiologist."""
    in_force = (PersonRow.disabled_at.is_(None), PersonRow.roles.contains(Role.RADIOLOGIST.value))
    return select(PersonRow.id).where(*in_force).exists()


def _undecided(chosen: Select[Any]) -> Select[Any]:
    return chosen.where(*awaits_decision())
