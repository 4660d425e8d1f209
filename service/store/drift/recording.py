"""Makes the rows of drift from jobs, decisions and final reports, each once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.orm import Session

from dicom.content.report import CODED_OBSERVATIONS, Finding, Presence
from dicom.study import Instance
from service.database.drift_tables import MonitorRowRow
from service.database.final_report_tables import FinalReportRow
from service.database.review_tables import DecisionRow, UndoRow
from service.database.tables import InstanceRow, JobRow
from service.drift import streams
from service.drift.rows import Category, MonitorRow, RowKind
from service.final_reports.report import FinalState
from service.jobs import JobState
from service.records import JobWithDraft
from service.review.words import Acceptability, FindingVerdict, Verdict
from service.store import record_mapping
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions

_ENDED: Final = (
    JobState.DRAFTED.value,
    JobState.COMPLETED.value,
    JobState.NOT_ANALYSED.value,
    JobState.FAILED.value,
)
# Changes may be committed out of the order of their times.
_OVERLAP: Final = timedelta(hours=1)
_BATCH: Final = 200
_CATEGORIES: Final = {each.value: each for each in Category}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedReading:
    """A reading that has no row yet, or whose row is of an earlier end.

    Attributes:
        outcome: "draft", "not analyzed" or "failed".
        image: The Instance that was read, where its file is here.
    """

    job: JobWithDraft
    outcome: str
    image: Instance | None


class MonitorRecording(Transactions):
    """The part of the store that makes rows of drift."""

    def readings_to_record(self, limit: int = _BATCH) -> list[EndedReading]:
        """Return readings that ended and have no row, in the order of their end."""
        with self._reading() as session:
            since = _position(session, RowKind.READING)
            known = select(MonitorRowRow.source_id).where(
                MonitorRowRow.kind == RowKind.READING.value,
                MonitorRowRow.source_id == JobRow.id,
                or_(MonitorRowRow.outcome != FAILED, JobRow.state == JobState.FAILED.value),
            )
            chosen = select(JobRow).where(
                JobRow.state.in_(_ENDED),
                ~known.exists(),
                not_a_probe(JobRow.study_instance_uid),
            )
            if since is not None:
                chosen = chosen.where(JobRow.updated_at >= since)
            rows = session.scalars(chosen.order_by(JobRow.updated_at, JobRow.id).limit(limit))
            # Also of withheld drafts: rows are counted, and each reading has its row only once.
            return [_ended(session, record_mapping.job(row, with_withheld=True)) for row in rows]

    def record_monitor_rows(self, rows: Iterable[MonitorRow], outcome: str = "") -> None:
        """Store rows; a row of the same source is replaced."""
        with self._writing() as session:
            for row in rows:
                _store(session, row, outcome)

    def record_decisions(self, day_of: Callable[[datetime], str], limit: int = _BATCH) -> int:
        """Make the rows of decisions that can no more be undone; return how many."""
        undone = select(UndoRow.decision_id).where(UndoRow.decision_id == DecisionRow.id)
        with self._writing() as session:
            chosen = _unrecorded(
                select(DecisionRow), RowKind.DECISION, DecisionRow.id, DecisionRow.at, session
            ).where(DecisionRow.amends == "", DecisionRow.undo_until < self.now(), ~undone.exists())
            found = list(session.scalars(chosen.order_by(DecisionRow.at).limit(limit)))
            for decision in found:
                row = _decision_row(session, decision, day_of)
                _store(session, row, decision.verdict)
            return len(found)

    def record_final_reports(self, day_of: Callable[[datetime], str], limit: int = _BATCH) -> int:
        """Make the rows of matched final reports; return how many."""
        with self._writing() as session:
            number = func.cast(FinalReportRow.id, MonitorRowRow.source_id.type)
            chosen = _unrecorded(
                select(FinalReportRow),
                RowKind.FINAL,
                number,
                FinalReportRow.matched_at,
                session,
            ).where(FinalReportRow.state == FinalState.MATCHED.value)
            found = list(session.scalars(chosen.order_by(FinalReportRow.matched_at).limit(limit)))
            for report in found:
                _record_final(session, report, day_of)
            return len(found)


FAILED: Final = "failed"
NOT_ANALYZED: Final = "not analyzed"
DRAFT: Final = "draft"


def _ended(session: Session, job: JobWithDraft) -> EndedReading:
    outcome = DRAFT
    if job.state is JobState.FAILED and not job.has_draft:
        outcome = FAILED
    elif job.state is JobState.NOT_ANALYSED:
        outcome = NOT_ANALYZED
    image = session.scalar(
        select(InstanceRow).where(
            InstanceRow.sop_instance_uid == job.drafted_image,
            ~InstanceRow.conflict,
            InstanceRow.removed_at.is_(None),
        )
    )
    found = record_mapping.instance(image) if image is not None else None
    return EndedReading(job=job, outcome=outcome, image=found)


def _position(session: Session, kind: RowKind) -> datetime | None:
    """Return the time from which on rows may be missing; None: there are none yet."""
    newest = session.scalar(
        select(func.max(MonitorRowRow.at)).where(MonitorRowRow.kind == kind.value)
    )
    return newest - _OVERLAP if newest else None


def _unrecorded(chosen: Any, kind: RowKind, key: Any, at: Any, session: Session) -> Any:  # noqa: ANN401 - a Select
    known = select(MonitorRowRow.source_id).where(
        MonitorRowRow.kind == kind.value, MonitorRowRow.source_id == key
    )
    since = _position(session, kind)
    chosen = chosen.where(~known.exists())
    return chosen if since is None else chosen.where(at >= since)


def _store(session: Session, row: MonitorRow, outcome: str) -> None:
    session.execute(
        delete(MonitorRowRow).where(
            MonitorRowRow.kind == row.kind.value, MonitorRowRow.source_id == row.source_id
        )
    )
    session.execute(
        insert(MonitorRowRow).values(
            kind=row.kind.value,
            source_id=row.source_id,
            job_id=row.job_id,
            study_uid=row.study_uid,
            at=row.at,
            day=row.day,
            outcome=outcome,
            categories={name.value: value for name, value in row.categories.items()},
            events=dict(row.events),
            numbers=dict(row.numbers),
        )
    )


def _categories(session: Session, job_id: str) -> Mapping[Category, str]:
    """Return the categories of the reading that a decision or a final report is about."""
    found = session.scalar(
        select(MonitorRowRow.categories).where(
            MonitorRowRow.job_id == job_id, MonitorRowRow.kind == RowKind.READING.value
        )
    )
    return categories_of_json(found or {})


def categories_of_json(found: Mapping[str, str]) -> dict[Category, str]:
    """Return stored categories; those of another version are left out."""
    return {_CATEGORIES[name]: value for name, value in found.items() if name in _CATEGORIES}


def _decision_row(
    session: Session, row: DecisionRow, day_of: Callable[[datetime], str]
) -> MonitorRow:
    verdicts = set(row.verdicts.values())
    corrected = {FindingVerdict.DISAGREE.value, FindingVerdict.ADD.value}
    events = {streams.REJECTED: row.verdict == Verdict.REJECT.value}
    if row.acceptability is not None:
        rated = Acceptability(row.acceptability)
        events[streams.NOT_ACCEPTABLE] = not rated.is_acceptable
    if verdicts:
        events[streams.READER_CHANGED] = bool(verdicts & corrected)
    numbers = {}
    if row.share is not None and row.verdict != Verdict.REJECT.value:
        numbers[streams.EDITED_SHARE] = row.share
    return MonitorRow(
        kind=RowKind.DECISION,
        source_id=row.id,
        job_id=row.job_id,
        study_uid=row.study_instance_uid,
        at=row.at,
        day=day_of(row.at),
        categories=_categories(session, row.job_id),
        events=events,
        numbers=numbers,
    )


def _record_final(
    session: Session, report: FinalReportRow, day_of: Callable[[datetime], str]
) -> None:
    job = session.get(JobRow, report.job_id)
    # A withheld draft is released after its final report has come; the row is not made again.
    draft = record_mapping.job(job, with_withheld=True).draft if job is not None else None
    at = report.matched_at or report.received_at
    # A corrected report replaces the earlier one of the same draft.
    session.execute(
        delete(MonitorRowRow).where(
            MonitorRowRow.job_id == report.job_id, MonitorRowRow.kind == RowKind.FINAL.value
        )
    )
    numbers = {} if report.changed_share is None else {streams.CHANGED_SHARE: report.changed_share}
    row = MonitorRow(
        kind=RowKind.FINAL,
        source_id=str(report.id),
        job_id=report.job_id,
        study_uid=report.study_uid,
        at=at,
        day=day_of(at),
        categories=_categories(session, report.job_id),
        events=pair_events(draft.findings, report.labels or {}) if draft else {},
        numbers=numbers,
    )
    _store(session, row, report.state)


def pair_events(findings: Iterable[Finding], final: Mapping[str, str]) -> dict[str, bool]:
    """Return for each of the six findings what both state, and whether they disagree.

    A report that does not mention a finding counts as negative; a pair with an uncertain one is left
    out.
    """
    events = {}
    drafted = {one.observation: one.presence for one in findings}
    for each in CODED_OBSERVATIONS:
        ours = drafted.get(each, Presence.NOT_MENTIONED)
        theirs = final.get(each.value, Presence.NOT_MENTIONED.value)
        if Presence.UNCERTAIN in (ours, theirs) or ours is Presence.NOT_CODED:
            continue
        drafted_positive = ours is Presence.PRESENT
        reported_positive = theirs == Presence.PRESENT.value
        events[streams.drafted_event(each)] = drafted_positive
        events[streams.reported_event(each)] = reported_positive
        events[streams.disagreement_stream(each)] = drafted_positive != reported_positive
    return events
