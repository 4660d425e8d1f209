"""The drafts that await a decision: the worklist in its order, page by page, and bounded counts.

The order is that of `service.review.worklist`. It depends only on columns, so that no draft is decoded
that is not shown. Each segment of the list (overdue or not, one urgency) is a range of one index.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    TextClause,
    false,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.orm import Session

from service.accounts import Role
from service.database.account_tables import PersonRow
from service.database.tables import AWAITS_DECISION, JobRow, UtcTime
from service.errors import NotFound
from service.records import JobWithDraft
from service.review.worklist import Place
from service.store import record_mapping
from service.store.job_lists.time_limit import time_limit
from service.store.probe_exclusion import not_a_probe
from service.store.review.patient_search import PatientSearch, search_patients
from service.store.session import Transactions

# Each segment of the worklist is counted up to here.
MOST_COUNTED: Final = 1000
_Condition = ColumnElement[bool] | TextClause
# The conditions of the two indexes of the worklist, word for word.
_URGENCIES: Final[dict[Place, tuple[_Condition, ...]]] = {
    Place.SITE_URGENT: (text("urgent"),),
    Place.AI_URGENT: (text("NOT urgent"), JobRow.urgent_finding == true()),
    Place.AGE: (text("NOT urgent"), JobRow.urgent_finding == false()),
}
_ORDER: Final = (JobRow.created_at, JobRow.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistSpan:
    """Which drafts a worklist lists, and which of them are overdue.

    Attributes:
        since: Only drafts of jobs made at this time or later are listed.
        overdue_before: Drafts of jobs made before this time have waited longer than the limit.
    """

    since: datetime
    overdue_before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistPage:
    """A page of the worklist.

    Attributes:
        jobs: The jobs with their drafts, in order.
        has_more: Whether drafts follow after these.
        other_studies: Study Instance UIDs of the newest studies that a search found and that do not
            await a decision.
    """

    jobs: Sequence[JobWithDraft]
    has_more: bool
    other_studies: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistCounts:
    """Numbers of the whole worklist; one above `MOST_COUNTED` says only that there are more.

    Attributes:
        waiting: The number of drafts.
        urgent: The number of those urgent by the site or by AI.
        overdue: The number of those that have waited longer than the limit.
        oldest: When the job of the oldest was made; None for an empty worklist.
    """

    waiting: int
    urgent: int
    overdue: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """The part of the worklist with one urgency, overdue or not; by age inside."""

    is_overdue: bool
    urgency: Place

    def conditions(self, span: WorklistSpan) -> tuple[_Condition, ...]:
        before, at = JobRow.created_at < span.overdue_before, JobRow.created_at >= span.since
        if not self.is_overdue:
            before, at = true(), JobRow.created_at >= max(span.since, span.overdue_before)
        return (*awaits_decision(), *_URGENCIES[self.urgency], at, before)


_SEGMENTS: Final = tuple(
    _Segment(is_overdue=is_overdue, urgency=urgency)
    for is_overdue in (True, False)
    for urgency in _URGENCIES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """The place of a draft in the worklist: number of its segment, and place within."""

    segment: int
    at: datetime
    id: str


class Awaiting(Transactions):
    """The part of the store that finds the drafts without a decision."""

    def worklist_page(
        self, span: WorklistSpan, *, limit: int, after: str = "", search: str = ""
    ) -> WorklistPage:
        """Return drafts without a decision that stands, in the order in which they are to be read.

        Left out are withdrawn and superseded drafts, those of canceled jobs, and those whose images were
        removed: nothing is to be decided about them.

        Args:
            span: Which drafts are listed, and which of them are overdue.
            limit: Most jobs to return.
            after: Only drafts behind the one of this job: the next page.
            search: Only drafts of patients with each of these words in name, patient ID or accession
                number.

        Raises:
            NotFound: There is no job `after`.
            QueryTooSlow: The query exceeded its time limit.
        """
        with self._reading() as session:
            with time_limit(session):
                found = search_patients(session, search) if search else PatientSearch()
                mark = _mark(session, after, span) if after else None
                ids = _walk(session, span, mark, limit + 1, found.condition)
                others = _not_awaiting(session, span, found.newest)
            jobs = _jobs(session, ids[:limit])
        return WorklistPage(jobs=jobs, has_more=len(ids) > limit, other_studies=others)

    def worklist_counts(self, span: WorklistSpan) -> WorklistCounts:
        """Return the bounded counts of the worklist."""
        counts = [_bounded(segment.conditions(span)) for segment in _SEGMENTS]
        firsts = [_first(each, span.since) for each in _URGENCIES]
        with self._reading() as session, time_limit(session):
            row = session.execute(select(*counts, *firsts)).one()
        found = list(zip(_SEGMENTS, row, strict=False))
        return WorklistCounts(
            waiting=sum(n for _, n in found),
            urgent=sum(n for each, n in found if each.urgency is not Place.AGE),
            overdue=sum(n for each, n in found if each.is_overdue),
            oldest=min((at for at in row[len(_SEGMENTS) :] if at is not None), default=None),
        )

    def worklist_neighbors(self, span: WorklistSpan, job_id: str) -> tuple[str, str]:
        """Return the ids of the jobs before and after this one in the worklist, "" where there is none.

        After the last one, and after a job that is not in the worklist, comes the first one.
        """
        with self._reading() as session, time_limit(session):
            first = _walk(session, span, None, 1)
            listed = select(JobRow.id).where(
                JobRow.id == job_id, *awaits_decision(), JobRow.created_at >= span.since
            )
            if session.scalar(listed) is None:
                return "", "".join(first)
            mark = _mark(session, job_id, span)
            before = _walk(session, span, mark, 1, is_backward=True)
            after = _walk(session, span, mark, 1) or [each for each in first if each != job_id]
        return "".join(before), "".join(after)

    def awaiting_removal(self, created_before: datetime) -> int:
        """Return how many drafts of jobs made before this time await a person who may decide."""
        counted = select(func.count()).select_from(JobRow).where(*awaits_decision())
        with self._reading() as session:
            found = counted.where(JobRow.created_at < created_before, has_radiologist())
            return session.scalar(found) or 0

    def older_awaiting(self, before: datetime, *, most: int) -> int:
        """Return how many drafts of jobs made before this time have no decision that stands.

        The count ends at `most` + 1: a site without decisions has as many as it has drafts.
        """
        older = [
            _bounded((*awaits_decision(), *each, JobRow.created_at < before), most)
            for each in _URGENCIES.values()
        ]
        with self._reading() as session:
            return min(most + 1, sum(session.execute(select(*older)).one()))


def awaits_decision() -> tuple[_Condition, ...]:
    """Return the conditions, in a query of `JobRow`, for a draft without a decision that stands."""
    return text(AWAITS_DECISION), not_a_probe(JobRow.study_instance_uid)


def has_radiologist() -> ColumnElement[bool]:
    """Return the condition that an account in force has the role radiologist."""
    in_force = (PersonRow.disabled_at.is_(None), PersonRow.roles.contains(Role.RADIOLOGIST.value))
    return select(PersonRow.id).where(*in_force).exists()


def _walk(
    session: Session,
    span: WorklistSpan,
    mark: _Mark | None,
    limit: int,
    condition: ColumnElement[bool] | None = None,
    *,
    is_backward: bool = False,
) -> list[str]:
    """Return the ids of the jobs after a mark (None: all), or before it from the nearest on."""
    found: list[str] = []
    for number, segment in _steps(mark, is_backward=is_backward):
        query = select(JobRow.id).where(*segment.conditions(span)).limit(limit - len(found))
        if condition is not None:
            query = query.where(condition)
        if mark is not None and number == mark.segment:
            query = query.where(_beyond(mark, is_backward=is_backward))
        order = [each.desc() for each in _ORDER] if is_backward else _ORDER
        found += session.scalars(query.order_by(*order))
        if len(found) >= limit:
            break
    return found


def _steps(mark: _Mark | None, *, is_backward: bool) -> Iterator[tuple[int, _Segment]]:
    numbered = list(enumerate(_SEGMENTS))
    if mark is None:
        yield from numbered
    elif is_backward:
        yield from reversed(numbered[: mark.segment + 1])
    else:
        yield from numbered[mark.segment :]


def _beyond(mark: _Mark, *, is_backward: bool) -> ColumnElement[bool]:
    place, its = tuple_(*_ORDER), tuple_(literal(mark.at, UtcTime()), literal(mark.id))
    beyond: ColumnElement[bool] = place < its if is_backward else place > its
    return beyond


def _mark(session: Session, job_id: str, span: WorklistSpan) -> _Mark:
    """Return the place that a job has, or would have if its draft awaited a decision."""
    columns = select(JobRow.created_at, JobRow.urgent, JobRow.urgent_finding)
    row = session.execute(columns.where(JobRow.id == job_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id[:32]!a}")
    at, is_urgent, has_finding = row
    by_draft = Place.AI_URGENT if has_finding else Place.AGE
    segment = _Segment(
        is_overdue=at < span.overdue_before, urgency=Place.SITE_URGENT if is_urgent else by_draft
    )
    return _Mark(segment=_SEGMENTS.index(segment), at=at, id=job_id)


def _jobs(session: Session, ids: Sequence[str]) -> list[JobWithDraft]:
    rows = session.scalars(select(JobRow).where(JobRow.id.in_(ids)))
    by_id = {row.id: record_mapping.job(row) for row in rows}
    return [by_id[each] for each in ids]


def _not_awaiting(session: Session, span: WorklistSpan, studies: Sequence[str]) -> list[str]:
    waiting = set(
        session.scalars(
            select(JobRow.study_instance_uid).where(
                JobRow.study_instance_uid.in_(studies),
                *awaits_decision(),
                JobRow.created_at >= span.since,
            )
        )
    )
    return [each for each in studies if each not in waiting]


def _bounded(conditions: Sequence[_Condition], most: int = MOST_COUNTED) -> ScalarSelect[Any]:
    some = select(JobRow.id).where(*conditions).limit(most + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _first(urgency: Place, since: datetime) -> ScalarSelect[Any]:
    chosen: Select[Any] = select(JobRow.created_at).where(
        *awaits_decision(), *_URGENCIES[urgency], JobRow.created_at >= since
    )
    return chosen.order_by(JobRow.created_at).limit(1).scalar_subquery()
