"""Verified reports: built once by a worker, their state, and notices to their authors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Select, SQLColumnExpression, and_, literal, select, update
from sqlalchemy.orm import Session

from dicom.content.output_kind import OutputKind
from service.database.review_tables import AuthorNoticeRow, DecisionRow, UndoRow, VerifiedRow
from service.database.tables import DeliveryRow, IncidentRow, JobRow
from service.errors import NotFound
from service.jobs import VERIFIED, DeliveryState, Event, JobState, ReasonCode
from service.records import Delivery, ResultObject
from service.review.decision import Decision, ReportOf
from service.review.review import AuthorNotice
from service.review.words import NoticeKind, ReportState, Verdict
from service.store import record_mapping
from service.store.review import mapping
from service.store.transitions import OF_REPORT, Transitions, changed_rows

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReport:
    """A verified report that was built and stored.

    Attributes:
        revision: 1 for the first of a draft, then counting up.
        made_at: When it was stored.
    """

    decision_id: str
    job_id: str
    revision: int
    made_at: datetime
    object: ResultObject
    predecessor_uid: str


class VerifiedReports(Transitions):
    """The part of the store that knows the verified reports."""

    def made_report(self, decision_id: str) -> MadeReport | None:
        """Return the verified report of a decision; None if it is not built yet."""
        with self._reading() as session:
            row = session.get(VerifiedRow, decision_id)
            return _made(session, row) if row else None

    def earlier_report(self, decision: Decision) -> MadeReport | None:
        """Return the latest verified report of the draft that was built for an earlier decision."""
        chosen = (
            select(VerifiedRow)
            .join(DecisionRow, DecisionRow.id == VerifiedRow.decision_id)
            .where(DecisionRow.job_id == decision.job_id, DecisionRow.number < decision.number)
            .order_by(DecisionRow.number.desc())
            .limit(1)
        )
        with self._reading() as session:
            row = session.scalar(chosen)
            return _made(session, row) if row else None

    def record_report(self, made: MadeReport) -> MadeReport:
        """Record a built report; return the recorded one, which another worker may have built first."""
        item = made.object
        with self._writing() as session:
            self._insert_new(
                session,
                VerifiedRow,
                decision_id=made.decision_id,
                job_id=made.job_id,
                revision=made.revision,
                made_at=made.made_at,
                sop_class_uid=item.sop_class_uid,
                sop_instance_uid=item.sop_instance_uid,
                series_instance_uid=item.series_instance_uid,
                predecessor_uid=made.predecessor_uid,
                path=str(item.path),
                sha256=item.sha256,
            )
            row = session.get(VerifiedRow, made.decision_id, populate_existing=True)
            if row is None:
                raise NotFound(f"revision {made.revision} of the report is of another decision")
            return _made(session, row)

    def report_deliveries(self, decision_id: str) -> list[Delivery]:
        """Return the deliveries of a decision's verified report, one for each destination."""
        chosen = select(DeliveryRow).where(DeliveryRow.notice == f"{VERIFIED}{decision_id}")
        with self._reading() as session:
            rows = session.scalars(chosen.order_by(DeliveryRow.id))
            return [record_mapping.delivery(row) for row in rows]

    def reports_of(self, decisions: Sequence[Decision]) -> dict[str, ReportOf]:
        """Return the state of the verified report of each decision, by its id."""
        notices = [f"{VERIFIED}{each.id}" for each in decisions]
        ids, job_ids = [each.id for each in decisions], [each.job_id for each in decisions]
        sent: dict[str, list[Delivery]] = {each.id: [] for each in decisions}
        with self._reading() as session:
            chosen = select(DeliveryRow).where(
                DeliveryRow.job_id.in_(job_ids), DeliveryRow.notice.in_(notices)
            )
            for row in session.scalars(chosen.order_by(DeliveryRow.id)):
                found = record_mapping.delivery(row)
                sent[found.decision_id].append(found)
            rows = session.scalars(select(VerifiedRow).where(VerifiedRow.decision_id.in_(ids)))
            made = {row.decision_id: row for row in rows}
            return {
                each.id: _report_of(each, made.get(each.id), sent[each.id]) for each in decisions
            }

    def send_report_again(self, decision_id: str, actor: str) -> int:
        """Make the failed deliveries of a decision's report due again; return how many there were."""
        failed = update(DeliveryRow).where(
            DeliveryRow.notice == f"{VERIFIED}{decision_id}",
            DeliveryRow.state == DeliveryState.FAILED.value,
        )
        afresh = {
            "state": DeliveryState.PENDING.value,
            "created_at": self.now(),
            "not_before": None,
            "published_at": None,
            "last_error": "",
            **dict.fromkeys(("attempts", "lapses", "unlisted"), 0),
        }
        with self._writing() as session:
            count = changed_rows(session, failed.values(**afresh))
            row = session.get(DecisionRow, decision_id)
            if count and row is not None:
                job = self._row(session, row.job_id)
                state = JobState(job.state)
                words = "The verified report is sent again."
                self._event(session, job.id, Event.RESEND_REPORT, actor, (state, state), words)
            return count

    def notify_authors(self) -> list[AuthorNotice]:
        """Notify the authors of verified reports of what has happened since; return the new notices."""
        made = []
        with self._writing() as session:
            for kind, chosen in self._causes().items():
                for decision, subject, detail in session.execute(chosen):
                    words = f"{_DETAILS[kind]} {detail}".strip()
                    if self._notify(session, decision, kind, subject, words):
                        made.append((decision.id, kind, subject))
        return [
            each
            for each in self.author_notices(limit=len(made) + 100)
            if (each.decision_id, each.kind, each.subject) in made
        ]

    def _causes(self) -> dict[NoticeKind, Select[Any]]:
        empty = literal("", literal_execute=True)
        lately = self.now() - _LATE
        of_jobs = {
            NoticeKind.WITHDRAWN: (
                JobRow.reason_code == literal(ReasonCode.RECALLED, literal_execute=True),
                empty,
                JobRow.reason,
            ),
            NoticeKind.IN_DOUBT: (JobRow.doubt != empty, empty, JobRow.doubt),
            NoticeKind.NEWER_DRAFT: (
                and_(JobRow.superseded_by.is_not(None), JobRow.updated_at > lately),
                JobRow.superseded_by,
                empty,
            ),
        }
        chosen = {
            kind: _authored(kind, subject, detail)
            .join(JobRow, JobRow.id == DecisionRow.job_id)
            .where(condition)
            for kind, (condition, subject, detail) in of_jobs.items()
        }
        failed = _authored(
            NoticeKind.NOT_DELIVERED, DeliveryRow.destination, DeliveryRow.last_error
        )
        chosen[NoticeKind.NOT_DELIVERED] = failed.join(
            DeliveryRow, DeliveryRow.notice == literal(VERIFIED) + DecisionRow.id
        ).where(DeliveryRow.state == DeliveryState.FAILED.value, OF_REPORT)
        return chosen

    def _notify(
        self, session: Session, decision: DecisionRow, kind: NoticeKind, subject: str, words: str
    ) -> bool:
        is_new = self._insert_new(
            session,
            AuthorNoticeRow,
            decision_id=decision.id,
            reviewer_id=decision.reviewer_id,
            kind=kind.value,
            subject=subject,
            detail=words,
            at=self.now(),
        )
        if is_new and kind in _INCIDENTS:
            session.add(
                IncidentRow(
                    at=self.now(),
                    actor="sweeper",
                    kind=Event.REPORT_CONCERNED.value,
                    subject=decision.study_instance_uid,
                    detail=f"Its author was notified. {words}",
                )
            )
        return is_new

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


def _authored(
    kind: NoticeKind, subject: SQLColumnExpression[Any], detail: SQLColumnExpression[Any]
) -> Select[Any]:
    """Return the query for decisions with a report whose author has no notice of this kind yet."""
    known = select(AuthorNoticeRow.id).where(
        AuthorNoticeRow.decision_id == DecisionRow.id,
        AuthorNoticeRow.kind == kind.value,
        AuthorNoticeRow.subject == subject,
    )
    return (
        select(DecisionRow, subject, detail)
        .outerjoin(UndoRow, UndoRow.decision_id == DecisionRow.id)
        .where(
            UndoRow.decision_id.is_(None),
            DecisionRow.verdict != Verdict.REJECT.value,
            ~known.exists(),
        )
        .order_by(DecisionRow.id)
        .limit(200)
    )


def _made(session: Session, row: VerifiedRow) -> MadeReport:
    decision = session.get_one(DecisionRow, row.decision_id)
    return MadeReport(
        decision_id=row.decision_id,
        job_id=row.job_id,
        revision=row.revision,
        made_at=row.made_at,
        object=ResultObject(
            kind=OutputKind.VERIFIED_REPORT,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            study_instance_uid=decision.study_instance_uid,
            path=Path(row.path),
            sha256=row.sha256,
        ),
        predecessor_uid=row.predecessor_uid,
    )


def _report_of(decision: Decision, row: VerifiedRow | None, sent: Iterable[Delivery]) -> ReportOf:
    deliveries = list(sent)
    faults = {
        each.destination: each.last_error
        for each in deliveries
        if each.state is DeliveryState.FAILED
    }
    return ReportOf(
        state=_state(decision, deliveries, is_made=row is not None),
        revision=row.revision if row else 0,
        made_at=row.made_at if row else None,
        sop_instance_uid=row.sop_instance_uid if row else "",
        faults=faults,
    )


def _state(decision: Decision, deliveries: Sequence[Delivery], *, is_made: bool) -> ReportState:
    states = {each.state for each in deliveries}
    if not decision.request.verdict.makes_report:
        return ReportState.NONE
    if decision.undone_at is not None:
        return ReportState.UNDONE
    if not states:
        return ReportState.NO_DESTINATION
    if states & {DeliveryState.FAILED, DeliveryState.CANCELED}:
        return ReportState.FAILED
    if states == {DeliveryState.CONFIRMED}:
        # None: a destination that gets no reports.
        is_read = {each.read_back for each in deliveries} - {None} == {True}
        return ReportState.READ_BACK if is_read else ReportState.DELIVERED
    return ReportState.MADE if is_made else ReportState.WAITING
