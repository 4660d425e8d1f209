"""Notices to the authors of verified reports of what happened to draft or delivery since."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    SQLColumnExpression,
    and_,
    func,
    literal,
    select,
    update,
)

from service.database.review_tables import AuthorNoticeRow, DecisionRow, UndoRow
from service.database.tables import DeliveryRow, IncidentRow, JobRow
from service.errors import NotFound
from service.jobs import VERIFIED, DeliveryState, Event, ReasonCode
from service.review.review import AuthorNotice
from service.review.words import NoticeKind, Verdict
from service.store.review import mapping
from service.store.session import Transactions
from service.store.transitions import OF_REPORT, changed_rows

# A draft that was superseded longer ago than this gives no notice any more.
_LATE: Final = timedelta(days=30)
_DETAILS: Final = {
    NoticeKind.WITHDRAWN: "The AI draft of a report that you verified was withdrawn. Your report stays "
    "as it is: check it, and amend it if need be.",
    NoticeKind.IN_DOUBT: "A report that you verified may be of another patient or image. Your report "
    "stays as it is: check patient, order and image, and amend it if need be.",
    NoticeKind.NEWER_DRAFT: "Later images of a study whose report you verified were read, and there is "
    "a newer draft. Your report stays as it is.",
    NoticeKind.NOT_DELIVERED: "A report that you verified has not reached a destination.",
}
_INCIDENTS: Final = frozenset({NoticeKind.WITHDRAWN, NoticeKind.IN_DOUBT, NoticeKind.NOT_DELIVERED})
_NOTHING: Final = literal("", literal_execute=True)
_MOST_AT_ONCE: Final = 200


class AuthorNotices(Transactions):
    """The part of the store that notifies authors."""

    def notify_authors(self) -> list[AuthorNotice]:
        """Notify the authors of verified reports of what has happened since; return the new notices."""
        # Read first: this is done each minute, and there is hardly ever something to write.
        with self._reading() as session:
            due = [
                (kind, row)
                for kind, chosen in self._causes().items()
                for row in session.execute(chosen)
            ]
        made = [number for kind, row in due if (number := self._notify(kind, row))]
        found = self.author_notices(limit=len(made) + _MOST_AT_ONCE) if made else []
        return [each for each in found if each.id in made]

    def _causes(self) -> dict[NoticeKind, Select[*tuple[Any, ...]]]:
        lately = self.now() - _LATE
        recalled = JobRow.reason_code == literal(ReasonCode.RECALLED, literal_execute=True)
        superseded = and_(JobRow.superseded_by.is_not(None), JobRow.updated_at > lately)
        newer = func.coalesce(JobRow.superseded_by, _NOTHING)
        return {
            NoticeKind.WITHDRAWN: _of_jobs(NoticeKind.WITHDRAWN, recalled, _NOTHING, JobRow.reason),
            NoticeKind.IN_DOUBT: _of_jobs(
                NoticeKind.IN_DOUBT, JobRow.doubt != _NOTHING, _NOTHING, JobRow.doubt
            ),
            NoticeKind.NEWER_DRAFT: _of_jobs(NoticeKind.NEWER_DRAFT, superseded, newer, _NOTHING),
            NoticeKind.NOT_DELIVERED: _of_deliveries(),
        }

    def _notify(self, kind: NoticeKind, row: Row[*tuple[Any, ...]]) -> int:
        """Insert a notice, and for most kinds an incident; return its id, 0 if it is there already."""
        detail = f"{_DETAILS[kind]} {row.detail}".strip()
        values = {
            "decision_id": row.id,
            "reviewer_id": row.reviewer_id,
            "kind": kind.value,
            "subject": row.subject,
        }
        with self._writing() as session:
            if not self._insert_new(
                session, AuthorNoticeRow, **values, detail=detail, at=self.now()
            ):
                return 0
            if kind in _INCIDENTS:
                session.add(
                    IncidentRow(
                        at=self.now(),
                        actor="sweeper",
                        kind=Event.REPORT_CONCERNED.value,
                        subject=row.study_instance_uid,
                        detail=f"Its author was notified. {detail}",
                    )
                )
            return session.scalar(select(AuthorNoticeRow.id).filter_by(**values)) or 0

    def author_notices(
        self, reviewer_id: str | None = None, *, unseen: bool = False, limit: int = 100
    ) -> list[AuthorNotice]:
        """Return notices to authors, the latest first; of one person, or only those not yet read."""
        chosen = (
            select(AuthorNoticeRow, DecisionRow.job_id, DecisionRow.study_instance_uid)
            .join(DecisionRow, DecisionRow.id == AuthorNoticeRow.decision_id)
            .order_by(AuthorNoticeRow.id.desc())
            .limit(limit)
        )
        if reviewer_id is not None:
            chosen = chosen.where(AuthorNoticeRow.reviewer_id == reviewer_id)
        if unseen:
            chosen = chosen.where(AuthorNoticeRow.seen_at.is_(None))
        with self._reading() as session:
            return [mapping.author_notice(*row) for row in session.execute(chosen)]

    def notice_seen(self, notice_id: int, reviewer_id: str) -> None:
        """Record that a person has read a notice to them.

        Raises:
            NotFound: There is no such notice to this person.
        """
        own = (AuthorNoticeRow.id == notice_id, AuthorNoticeRow.reviewer_id == reviewer_id)
        unseen = update(AuthorNoticeRow).where(*own, AuthorNoticeRow.seen_at.is_(None))
        with self._writing() as session:
            changed_rows(session, unseen.values(seen_at=self.now()))
            if session.scalar(select(AuthorNoticeRow.id).where(*own)) is None:
                raise NotFound(f"there is no notice {notice_id} to you")


def _of_jobs(
    kind: NoticeKind,
    condition: ColumnElement[bool],
    subject: SQLColumnExpression[Any],
    detail: SQLColumnExpression[Any],
) -> Select[*tuple[Any, ...]]:
    concerned = select(JobRow.id).where(condition)
    return (
        _authored(kind, subject, detail)
        .join(JobRow, JobRow.id == DecisionRow.job_id)
        .where(condition, DecisionRow.job_id.in_(concerned))
    )


def _of_deliveries() -> Select[*tuple[Any, ...]]:
    its = func.substr(DeliveryRow.notice, len(VERIFIED) + 1)
    failed = (DeliveryRow.state == DeliveryState.FAILED.value, OF_REPORT)
    subject, detail = DeliveryRow.destination, DeliveryRow.last_error
    return (
        _authored(NoticeKind.NOT_DELIVERED, subject, detail)
        .join(DeliveryRow, its == DecisionRow.id)
        .where(*failed, DecisionRow.id.in_(select(its).where(*failed)))
    )


def _authored(
    kind: NoticeKind, subject: SQLColumnExpression[Any], detail: SQLColumnExpression[Any]
) -> Select[*tuple[Any, ...]]:
    """Return the query for decisions with a report whose author has no notice of this kind yet."""
    known = select(AuthorNoticeRow.id).where(
        AuthorNoticeRow.decision_id == DecisionRow.id,
        AuthorNoticeRow.kind == kind.value,
        AuthorNoticeRow.subject == subject,
    )
    undone = select(UndoRow.decision_id).where(UndoRow.decision_id == DecisionRow.id)
    # Not sorted: SQLite would then read all decisions in that order.
    return (
        select(
            DecisionRow.id,
            DecisionRow.reviewer_id,
            DecisionRow.study_instance_uid,
            subject.label("subject"),
            detail.label("detail"),
        )
        .where(DecisionRow.verdict != Verdict.REJECT.value, ~undone.exists(), ~known.exists())
        .limit(_MOST_AT_ONCE)
    )
