"""Drafts that are withheld: chosen by a key of the installation, released by the sweeper."""

import secrets
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.final_report_tables import FinalReportRow
from service.database.tables import JobRow
from service.database.withholding_tables import WithheldDraftRow, WithholdingKeyRow
from service.drift.withholding import Release, WithheldCount, released_sentence
from service.errors import NotFound
from service.final_reports.report import FinalState
from service.jobs import Action, Event, IllegalTransition, JobState, ReasonCode
from service.store import record_mapping
from service.store.doubts import compare_again
from service.store.drift.owed import OwedDeliveries
from service.store.transitions import Change

_ONLY_KEY: Final = 1
_KEY_BYTES: Final = 32
_ARRIVED: Final = (FinalState.MATCHED.value, FinalState.LATE.value)


class Withholding(OwedDeliveries):
    """The part of the store that withholds and releases drafts."""

    def withholding_key(self) -> bytes:
        """Return the secret by which studies are chosen; the first call makes it."""
        chosen = select(WithholdingKeyRow.key).where(WithholdingKeyRow.id == _ONLY_KEY)
        with self._reading() as session:
            known = session.scalar(chosen)
        if known is None:
            with self._writing() as session:
                new = secrets.token_hex(_KEY_BYTES)
                self._insert_new(session, WithholdingKeyRow, id=_ONLY_KEY, key=new)
                known = session.scalars(chosen).one()
        return bytes.fromhex(known)

    def withheld(self) -> WithheldCount:
        """Return how many drafts are withheld now."""
        chosen = select(func.count(), func.min(WithheldDraftRow.withheld_at)).where(
            WithheldDraftRow.released_at.is_(None)
        )
        with self._reading() as session:
            count, oldest = session.execute(chosen).one()
        return WithheldCount(n=count, oldest_at=oldest)

    def reported_while_withheld(self) -> frozenset[str]:
        """Return the jobs whose draft was withheld until the final report arrived."""
        chosen = select(WithheldDraftRow.job_id).where(
            WithheldDraftRow.release == Release.FINAL_REPORT.value
        )
        with self._reading() as session:
            return frozenset(session.scalars(chosen))

    def first_withheld(self) -> datetime | None:
        """Return when the first draft was withheld; None if none ever was."""
        with self._reading() as session:
            return session.scalar(select(func.min(WithheldDraftRow.withheld_at)))

    def reported_and_not_eligible(self) -> frozenset[str]:
        """Return the jobs with a final report whose draft was not to be withheld, whatever it states.

        Those are urgent jobs, readings that a person asked for, and later revisions.
        """
        chosen = select(JobRow.id).where(
            JobRow.id.in_(select(FinalReportRow.job_id)),
            or_(JobRow.urgent, JobRow.forced, JobRow.supersedes.is_not(None)),
        )
        with self._reading() as session:
            return frozenset(session.scalars(chosen))

    def release_withheld(self, now: datetime, limit: int = 500) -> int:
        """Release the drafts that need not be withheld any longer; return how many."""
        chosen = (
            select(WithheldDraftRow.job_id)
            .join(JobRow, JobRow.id == WithheldDraftRow.job_id)
            # Only those that are due: any number may be withheld, and none must delay another one.
            .where(WithheldDraftRow.released_at.is_(None), _may_be_due(now))
            .order_by(JobRow.urgent.desc(), WithheldDraftRow.withheld_at)
        )
        with self._reading() as session:
            waiting = list(session.scalars(chosen.limit(limit)))
        return sum(self._release_if_due(job_id, now) for job_id in waiting)

    def release_draft(self, job_id: str, actor: str, audit: AuditEvent | None = None) -> None:
        """Release a withheld draft now: it is shown and sent.

        Raises:
            NotFound: There is no such job.
            IllegalTransition: Its draft is not withheld.
        """
        with self._writing() as session:
            # Locked, so that a withdrawal at the same time is not overwritten.
            job = session.get(JobRow, job_id, with_for_update=True)
            if job is None:
                raise NotFound(f"there is no job {job_id[:8]}")
            row = _locked(session, job_id)
            if row is None or not _is_held(job):
                raise IllegalTransition("the draft of this job is not withheld")
            self._release(session, job, row, Release.REQUESTED, actor)
            self._audit(session, audit, study_uid=job.study_instance_uid, job_id=job_id)

    def _release_if_due(self, job_id: str, now: datetime) -> bool:
        with self._writing() as session:
            job = session.get(JobRow, job_id, with_for_update=True)
            row = _locked(session, job_id)
            why = None if job is None or row is None else _due(session, job, row, now)
            if job is None or row is None or why is None:
                return False
            self._release(session, job, row, why, "sweeper")
            return True

    def _release(
        self, session: Session, job: JobRow, row: WithheldDraftRow, why: Release, actor: str
    ) -> None:
        row.released_at, row.release = self.now(), why.value
        if not _is_held(job):
            return
        if why is Release.ENDED:
            # The code stays: the later draft, much like this one, may be withheld still.
            change = Change(
                actor=actor,
                code=ReasonCode.WITHHELD,
                reason="A later draft of this study replaces it.",
            )
            self._move(session, job.id, JobState.DRAFTED, Action.CANCEL, change)
            return
        job.reason_code, job.reason, job.updated_at = "", "", self.now()
        states = (JobState.DRAFTED, JobState.DRAFTED)
        words = released_sentence(why, row.destinations)
        self._event(session, job.id, Event.RELEASE_DRAFT, actor, states, words)
        # A destination that gets the draft only now must also get the notices of doubt.
        compare_again(session, record_mapping.drafted_image(job))
        self._send_owed(session, job.id)


def _is_held(job: JobRow) -> bool:
    return job.state == JobState.DRAFTED.value and job.reason_code == ReasonCode.WITHHELD


def _locked(session: Session, job_id: str) -> WithheldDraftRow | None:
    """Return the row of a draft that is withheld, locked."""
    row = session.get(WithheldDraftRow, job_id, with_for_update=True)
    return None if row is None or row.released_at is not None else row


def _may_be_due(now: datetime) -> ColumnElement[bool]:
    """Return the condition that `_due` may return a reason."""
    arrived = select(FinalReportRow.id).where(
        FinalReportRow.job_id == JobRow.id, FinalReportRow.state.in_(_ARRIVED)
    )
    return or_(
        JobRow.state != JobState.DRAFTED.value,
        JobRow.superseded_by.is_not(None),
        JobRow.reason_code != ReasonCode.WITHHELD.value,
        JobRow.urgent,
        WithheldDraftRow.until <= now,
        arrived.exists(),
    )


def _due(session: Session, job: JobRow, row: WithheldDraftRow, now: datetime) -> Release | None:
    """Return why a draft is to be released now, or None."""
    if job.state != JobState.DRAFTED.value or job.superseded_by is not None:
        return Release.ENDED
    if job.reason_code != ReasonCode.WITHHELD:
        # Recalled, or sent again by a person.
        return Release.ENDED if job.reason_code == ReasonCode.RECALLED else Release.REQUESTED
    if job.urgent:
        return Release.URGENT
    report = select(FinalReportRow.id).where(
        FinalReportRow.job_id == job.id, FinalReportRow.state.in_(_ARRIVED)
    )
    if session.scalar(report.limit(1)) is not None:
        return Release.FINAL_REPORT
    return Release.TIME_LIMIT if now >= row.until else None
