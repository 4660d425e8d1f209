"""Verified reports: built once by a worker, their state, and notices to their authors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.review_tables import DecisionRow, VerifiedRow
from service.database.tables import DeliveryRow
from service.errors import NotFound
from service.jobs import VERIFIED, DeliveryState, Event, JobState
from service.records import Delivery, ResultObject
from service.review.decision import Decision, ReportOf
from service.review.words import ReportState
from service.store import record_mapping
from service.store.transitions import Transitions, changed_rows


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
    """The part of the store for verified reports."""

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

    def send_report_again(
        self, decision_id: str, actor: str, audit: AuditEvent | None = None
    ) -> int:
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
                sentence = "The verified report is sent again."
                self._event(session, job.id, Event.RESEND_REPORT, actor, (state, state), sentence)
                self._audit(session, audit, study_uid=job.study_instance_uid, job_id=job.id)
            return count


def _made(session: Session, row: VerifiedRow) -> MadeReport:
    decision = session.get_one(DecisionRow, row.decision_id)
    return MadeReport(
        decision_id=row.decision_id,
        job_id=row.job_id,
        revision=row.revision,
        made_at=row.made_at,
        object=record_mapping.verified_object(row, decision.study_instance_uid),
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
