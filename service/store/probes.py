"""The end-to-end checks: begun, advanced by one sweeper at a time, and removed without a trace."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Delete, Select, delete, or_, select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.drift_tables import MonitorRowRow
from service.database.identity_tables import StudyIdentityRow
from service.database.model_tables import ShadowReadingRow
from service.database.probe_tables import ProbeRow
from service.database.question_tables import QuestionRow
from service.database.review_tables import DecisionRow, OpenRow, ReviewRow
from service.database.search_tables import SearchTextRow
from service.database.tables import DeliveryRow, EventRow, InstanceRow, JobRow, ObjectRow, StudyRow
from service.database.withholding_tables import WithheldDraftRow
from service.jobs import DeliveryState
from service.records import IncidentKind
from service.records.probes import Probe, ProbeHealth, ProbeOutcome, ProbeStage
from service.store.probe_exclusion import is_of_a_probe
from service.store.transitions import Transitions, changed_rows

# Checks that are kept for the page.
CHECKS_KEPT: Final = timedelta(days=30)
# The subject of the incidents of checks.
PROBE_SUBJECT: Final = "end-to-end check"
_ENDED: Final = (ProbeOutcome.PASSED.value, ProbeOutcome.FAILED.value)
# The mapped classes whose rows reference a job, except decisions: a study with one is not removed.
OF_JOBS: Final[tuple[Any, ...]] = (
    EventRow,
    ObjectRow,
    DeliveryRow,
    ShadowReadingRow,
    QuestionRow,
    OpenRow,
    ReviewRow,
    WithheldDraftRow,
)
_RUNNING: Final = ProbeRow.outcome == ProbeOutcome.RUNNING.value


class Probes(Transitions):
    """The part of the store for end-to-end checks."""

    def begin_probe(self, slot: str, event: AuditEvent | None = None) -> bool:
        """Begin a check unless one runs, or one of this slot was begun; return whether it was.

        Args:
            slot: Names the period, or the request of a person.
            event: The record for the audit trail where a person asked for it.
        """
        now = self.now()
        values = {
            "id": uuid4().hex,
            "slot": slot,
            "started_at": now,
            # Random: it cannot be known before it is sent.
            "study_instance_uid": f"2.25.{uuid4().int}",
            "sop_instance_uid": "",
            "digest": "",
            "stage": ProbeStage.SEND.value,
            "outcome": ProbeOutcome.RUNNING.value,
            "reason": "",
            "reached": {ProbeStage.SEND.value: now.isoformat()},
            "left_at": [],
            "owner": "",
        }
        with self._writing() as session:
            if session.scalar(select(ProbeRow.id).where(_RUNNING).limit(1)) is not None:
                return False
            if not self._insert_new(session, ProbeRow, **values):
                return False
            self._audit(session, event)
            return True

    def claim_probe(self, owner: str, lease_seconds: float) -> Probe | None:
        """Claim the oldest check that runs or has left something; None if there is nothing to do.

        A claim of the same owner is renewed, so that a sweeper goes on at once after a restart.
        """
        now = self.now()
        free = or_(
            ProbeRow.owner == owner, ProbeRow.lease_until.is_(None), ProbeRow.lease_until <= now
        )
        due = or_(ProbeRow.not_before.is_(None), ProbeRow.not_before <= now)
        with self._reading() as session:
            chosen = select(ProbeRow.id).where(ProbeRow.cleaned_at.is_(None), free, due)
            # The running one first: an old one that cannot be removed must not delay it.
            found = session.scalar(chosen.order_by(~_RUNNING, ProbeRow.started_at).limit(1))
        if found is None:
            return None
        until = now + timedelta(seconds=lease_seconds)
        with self._writing() as session:
            taken = update(ProbeRow).where(ProbeRow.id == found, free)
            if not changed_rows(session, taken.values(owner=owner, lease_until=until)):
                return None
            return _probe(session.get_one(ProbeRow, found))

    def set_probe_image(self, probe: Probe, sop_instance_uid: str, digest: str) -> None:
        """Register the Instance of a check, before it is sent."""
        with self._writing() as session:
            row = session.get_one(ProbeRow, probe.id)
            row.sop_instance_uid, row.digest = sop_instance_uid, digest

    def advance_probe(self, probe: Probe, stage: ProbeStage) -> None:
        """Record that a running check reached a stage."""
        with self._writing() as session:
            row = session.get_one(ProbeRow, probe.id)
            row.stage = stage.value
            row.reached = row.reached | {stage.value: self.now().isoformat()}

    def end_probe(self, probe: Probe, outcome: ProbeOutcome, reason: str = "") -> bool:
        """Record how a check ended, at the stage where it is; return whether the one before failed.

        In the same transaction the incident is recorded: of a failure, and of the first check that
        passes after one. Of a check that has ended already, only its failure afterwards is recorded.
        """
        before = (
            select(ProbeRow.outcome)
            .where(ProbeRow.outcome.in_(_ENDED), ProbeRow.id != probe.id)
            .order_by(ProbeRow.started_at.desc())
            .limit(1)
        )
        with self._writing() as session:
            row = session.get_one(ProbeRow, probe.id, with_for_update=True)
            is_late_failure = (
                row.outcome == ProbeOutcome.PASSED.value and outcome is ProbeOutcome.FAILED
            )
            if row.outcome != ProbeOutcome.RUNNING.value and not is_late_failure:
                return False
            row.outcome, row.reason = outcome.value, reason
            row.ended_at = row.ended_at or self.now()
            had_failed = session.scalar(before) == ProbeOutcome.FAILED.value
            if outcome is ProbeOutcome.FAILED:
                failure = f"It failed at {probe.stage.text}: {reason}"
                self._note_end(session, IncidentKind.PROBE_FAILED, failure)
            elif outcome is ProbeOutcome.PASSED and had_failed:
                passed = "The latest check passed after the one before had failed."
                self._note_end(session, IncidentKind.PROBE_PASSED, passed)
            return had_failed

    def _note_end(self, session: Session, kind: IncidentKind, detail: str) -> None:
        self._incident(session, kind, actor="sweeper", subject=PROBE_SUBJECT, detail=detail)

    def postpone_probe(self, probe: Probe, seconds: float) -> None:
        """Let the removal of a check's objects be tried again after this time."""
        with self._writing() as session:
            row = session.get_one(ProbeRow, probe.id)
            row.not_before = self.now() + timedelta(seconds=seconds)

    def is_probe(self, probe: Probe) -> bool:
        """Return whether the study holds nothing but what the check sent and made of it."""
        with self._reading() as session:
            return self._is_own_probe(session, probe.study_instance_uid)

    def _is_own_probe(self, session: Session, study_uid: str) -> bool:
        decided = select(DecisionRow.id).join(JobRow, JobRow.id == DecisionRow.job_id)
        by_person = decided.where(JobRow.study_instance_uid == study_uid).limit(1)
        return is_of_a_probe(session, study_uid) and session.scalar(by_person) is None

    def is_probe_being_sent(self, probe: Probe) -> bool:
        """Return whether a worker is sending results of the check at this moment."""
        sending = (
            select(DeliveryRow.id)
            .join(JobRow, JobRow.id == DeliveryRow.job_id)
            .where(
                JobRow.study_instance_uid == probe.study_instance_uid,
                DeliveryRow.state == DeliveryState.SENDING.value,
            )
        )
        with self._reading() as session:
            return session.scalar(sending.limit(1)) is not None

    def forget_probe(self, probe: Probe, left_at: Sequence[str] = ()) -> bool:
        """Remove every row of the check's study; return whether that was done.

        It is not if another Instance came, or a person decided on the draft: the study then stays, as a
        study like any other.

        Args:
            probe: The check, with its files removed already.
            left_at: Destinations at which its objects stay.
        """
        uid = probe.study_instance_uid
        with self._writing() as session:
            # Locked: an Instance that arrives now waits for this transaction.
            session.get(StudyRow, uid, with_for_update=True)
            own = self._is_own_probe(session, uid)
            for statement in _deletions(uid) if own else ():
                session.execute(statement)
            row = session.get_one(ProbeRow, probe.id)
            row.cleaned_at, row.lease_until, row.left_at = self.now(), None, list(left_at)
            old = delete(ProbeRow).where(
                ProbeRow.started_at < self.now() - CHECKS_KEPT, ProbeRow.cleaned_at.is_not(None)
            )
            session.execute(old)
            return own

    def probe_health(self, period: timedelta, limit: timedelta) -> ProbeHealth:
        """Return what the latest checks say, with this period between and this limit of each."""
        newest = select(ProbeRow).order_by(ProbeRow.started_at.desc()).limit(1)
        now = self.now()
        with self._reading() as session:
            latest = session.scalar(newest.where(ProbeRow.outcome.in_(_ENDED)))
            running = session.scalar(newest.where(_RUNNING))
            passed = session.scalar(newest.where(ProbeRow.outcome == ProbeOutcome.PASSED.value))
            begun = session.scalar(newest)
            return ProbeHealth(
                latest=_probe(latest) if latest else None,
                running=_probe(running) if running else None,
                passed_at=passed.ended_at if passed else None,
                due_at=_due(begun, now) + period + limit,
                now=now,
            )

    def probes(self, limit: int = 50) -> list[Probe]:
        """Return the latest checks, the newest first."""
        chosen = select(ProbeRow).order_by(ProbeRow.started_at.desc()).limit(limit)
        with self._reading() as session:
            return [_probe(row) for row in session.scalars(chosen)]

    def newest_probe(self) -> Probe | None:
        """Return the check that was begun last; None if there is none."""
        return next(iter(self.probes(limit=1)), None)

    def cancel_probe_deliveries(self, job_ids: Collection[str]) -> None:
        """End what is still to be sent of these jobs; what is being sent is left to its worker."""
        waiting = update(DeliveryRow).where(
            DeliveryRow.job_id.in_(job_ids), DeliveryRow.state == DeliveryState.PENDING.value
        )
        with self._writing() as session:
            changed_rows(session, waiting.values(state=DeliveryState.CANCELED.value))


def _due(begun: ProbeRow | None, now: datetime) -> datetime:
    """Return the time from which the next end of a check is expected."""
    return begun.started_at if begun is not None else now


def _deletions(study_uid: str) -> list[Delete]:
    """Return the statements that remove a study of a check, those of referencing rows first."""
    return [
        *(delete(table).where(table.job_id.in_(_jobs(study_uid))) for table in OF_JOBS),
        delete(MonitorRowRow).where(MonitorRowRow.study_uid == study_uid),
        delete(SearchTextRow).where(SearchTextRow.study_uid == study_uid),
        delete(StudyIdentityRow).where(StudyIdentityRow.study_uid == study_uid),
        delete(JobRow).where(JobRow.study_instance_uid == study_uid),
        delete(InstanceRow).where(InstanceRow.study_instance_uid == study_uid),
        delete(StudyRow).where(StudyRow.study_instance_uid == study_uid),
    ]


def _jobs(study_uid: str) -> Select[str]:
    return select(JobRow.id).where(JobRow.study_instance_uid == study_uid)


def _probe(row: ProbeRow) -> Probe:
    return Probe(
        id=row.id,
        started_at=row.started_at,
        study_instance_uid=row.study_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        digest=row.digest,
        stage=ProbeStage(row.stage),
        outcome=ProbeOutcome(row.outcome),
        reason=row.reason,
        reached={ProbeStage(k): datetime.fromisoformat(v) for k, v in row.reached.items()},
        left_at=tuple(row.left_at),
        ended_at=row.ended_at,
        cleaned_at=row.cleaned_at,
    )
