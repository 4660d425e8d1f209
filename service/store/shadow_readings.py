"""Readings by shadow models: claimed when the service is idle, compared, never delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Update, delete, func, or_, select, update
from sqlalchemy.orm import Session

from dicom.content.report import DraftReport
from service.database.model_tables import ShadowReadingRow
from service.database.spooled_images import spooled_images
from service.database.tables import JobRow
from service.errors import LeaseLost
from service.jobs import JobState, ReasonCode
from service.records import JobWithDraft
from service.records.shadow import ShadowComparison, ShadowEnd, ShadowReading, ShadowState
from service.store import record_mapping
from service.store.probe_exclusion import not_a_probe
from service.store.stop_in_force import stop_in_force
from service.store.transitions import UNDRAFTED, Transitions, changed_rows

MAX_ATTEMPTS: Final = 3
_HOUR: Final = timedelta(hours=1)
_LOST: Final = f"Its worker was lost {MAX_ATTEMPTS} times; the study may crash the worker."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowLimits:
    """When a shadow model may read.

    Attributes:
        max_open_jobs: It reads only while at most this many jobs wait or are being read.
        backlog: Of the drafts, only so many of the newest are candidates; older ones are skipped.
        per_hour: Most readings begun within an hour.
    """

    max_open_jobs: int
    backlog: int
    per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowClaim:
    """A claimed shadow reading: its id, the number of the attempt, and the job with its draft."""

    id: int
    attempt: int
    owner: str
    job: JobWithDraft


class ShadowReadings(Transitions):
    """The part of the store for shadow readings. No method here changes a job."""

    def open_jobs(self) -> int:
        """Return how many jobs wait or are being read."""
        waiting = select(func.count(JobRow.id)).where(JobRow.state.in_(UNDRAFTED))
        with self._reading() as session:
            return session.scalar(waiting) or 0

    def shadow_must_end(self, limits: ShadowLimits) -> bool:
        """Return whether a running shadow reading must end: more jobs came, or drafting is stopped."""
        with self._reading() as session:
            stopped = stop_in_force(session) is not None
        return stopped or self.open_jobs() > limits.max_open_jobs

    def claim_shadow(
        self, model: str, version: str, owner: str, lease_seconds: float, limits: ShadowLimits
    ) -> ShadowClaim | None:
        """Claim the newest draft that this model has not read; None if it may read nothing now."""
        with self._reading() as session:
            candidate = self._candidate(session, model, version, limits)
        if candidate is None:
            return None
        now = self.now()
        values = {
            "owner": owner,
            "claimed_at": now,
            "lease_until": now + timedelta(seconds=lease_seconds),
        }
        with self._writing() as session:
            key = {"job_id": candidate, "model_name": model, "model_version": version}
            if not self._claimed(session, key, values):
                return None
            row = session.scalar(select(ShadowReadingRow).filter_by(**key))
            job = session.get(JobRow, candidate)
            if row is None or job is None or job.removed_at is not None:
                return None
            # The comparison shows counts only, so that a withheld draft can take part.
            found = record_mapping.job(job, with_withheld=True)
            return ShadowClaim(id=row.id, attempt=row.attempts, owner=owner, job=found)

    def _claimed(self, session: Session, key: dict[str, str], values: dict[str, Any]) -> bool:
        """Insert the row of a first attempt, or take over one whose lease has ended."""
        study = select(JobRow.study_instance_uid).where(JobRow.id == key["job_id"])
        blank = {
            "attempts": 1,
            "state": ShadowState.READING.value,
            "prompt_sha256": "",
            "reason": "",
        }
        study_uid = session.scalar(study)
        if self._insert_new(
            session, ShadowReadingRow, study_instance_uid=study_uid, **key, **blank, **values
        ):
            return True
        lapsed = update(ShadowReadingRow).filter_by(**key).where(*_lapsed(self.now()))
        again = lapsed.where(ShadowReadingRow.attempts < MAX_ATTEMPTS)
        attempts = {"attempts": ShadowReadingRow.attempts + 1}
        if changed_rows(session, again.values(**values, **attempts)):
            return True
        lost = {"state": ShadowState.FAILED.value, "reason": _LOST, "ended_at": self.now()}
        changed_rows(session, lapsed.values(**lost, lease_until=None))
        return False

    def _candidate(
        self, session: Session, model: str, version: str, limits: ShadowLimits
    ) -> str | None:
        """Return the id of the job to read next; None if a limit or the lack of drafts forbids it."""
        if stop_in_force(session) is not None:
            return None
        open_jobs = select(func.count(JobRow.id)).where(JobRow.state.in_(UNDRAFTED))
        if (session.scalar(open_jobs) or 0) > limits.max_open_jobs:
            return None
        begun = select(func.count(ShadowReadingRow.id)).where(
            ShadowReadingRow.model_name == model,
            ShadowReadingRow.claimed_at > self.now() - _HOUR,
        )
        if (session.scalar(begun) or 0) >= limits.per_hour:
            return None
        newest = _drafted().order_by(JobRow.created_at.desc(), JobRow.id.desc())
        newest = newest.limit(limits.backlog)
        recent = newest.subquery()
        # A reading that has ended has no lease; one whose lease has ended is tried again.
        read = select(ShadowReadingRow.id).where(
            ShadowReadingRow.job_id == recent.c.id,
            ShadowReadingRow.model_name == model,
            ShadowReadingRow.model_version == version,
            or_(ShadowReadingRow.lease_until.is_(None), ShadowReadingRow.lease_until > self.now()),
        )
        chosen = select(recent.c.id).where(~read.exists())
        return session.scalar(chosen.order_by(recent.c.created_at.desc()).limit(1))

    def extend_shadow(self, claim: ShadowClaim, lease_seconds: float) -> None:
        """Extend the lease of a shadow reading to `lease_seconds` from now.

        Raises:
            LeaseLost: Another worker took it over, or the images were removed.
        """
        until = self.now() + timedelta(seconds=lease_seconds)
        with self._writing() as session:
            if not changed_rows(session, _held(claim).values(lease_until=until)):
                raise LeaseLost(f"shadow reading {claim.id}: attempt {claim.attempt} is void")

    def end_shadow(self, claim: ShadowClaim, end: ShadowEnd) -> None:
        """Record how a shadow reading ended; of a study whose files were removed, remove it.

        Raises:
            LeaseLost: Another worker took it over, or the images were removed.
        """
        values = {
            "state": end.state.value,
            "reason": end.reason,
            "seconds": end.seconds,
            "prompt_sha256": end.prompt_sha256,
            "draft": end.draft.to_json() if end.draft else None,
            "comparison": end.comparison.to_json() if end.comparison else None,
            "ended_at": self.now(),
            "lease_until": None,
        }
        with self._writing() as session:
            if not changed_rows(session, _held(claim).values(**values)):
                raise LeaseLost(f"shadow reading {claim.id}: attempt {claim.attempt} is void")
            gone = select(JobRow.id).where(
                JobRow.id == claim.job.id, JobRow.removed_at.is_not(None)
            )
            if session.scalar(gone) is not None:
                session.execute(delete(ShadowReadingRow).where(ShadowReadingRow.id == claim.id))

    def put_off_shadow(self, claim: ShadowClaim, delay: float) -> None:
        """Let any worker try again after `delay` seconds; the attempt counts."""
        until = self.now() + timedelta(seconds=delay)
        with self._writing() as session:
            changed_rows(session, _held(claim).values(lease_until=until))

    def abandon_shadow(self, claim: ShadowClaim) -> None:
        """Give up a claim whose failure is independent of the study; the attempt does not count."""
        only = delete(ShadowReadingRow).where(
            ShadowReadingRow.id == claim.id,
            ShadowReadingRow.attempts == claim.attempt,
            ShadowReadingRow.owner == claim.owner,
        )
        with self._writing() as session:
            if claim.attempt == 1:
                session.execute(only)
                return
            back = _held(claim).values(
                attempts=ShadowReadingRow.attempts - 1, lease_until=self.now()
            )
            changed_rows(session, back)

    def remove_shadow_readings(self, study_uid: str) -> None:
        """Remove the shadow readings of a study's jobs that were removed, of all if no image is left."""
        jobs = select(JobRow.id).where(
            JobRow.study_instance_uid == study_uid,
            or_(JobRow.removed_at.is_not(None), ~spooled_images(study_uid).exists()),
        )
        gone = delete(ShadowReadingRow).where(ShadowReadingRow.job_id.in_(jobs))
        with self._writing() as session:
            session.execute(gone)

    def shadow_counts(self) -> dict[tuple[str, ShadowState], int]:
        """Return how many readings each shadow model has in each state."""
        columns = (ShadowReadingRow.model_name, ShadowReadingRow.state)
        counts = select(*columns, func.count()).group_by(*columns)
        with self._reading() as session:
            return {
                (model, ShadowState(state)): count
                for model, state, count in session.execute(counts)
            }

    def shadow_readings(self, model: str, *, limit: int) -> Sequence[ShadowReading]:
        """Return the latest readings of a shadow model, the newest first."""
        chosen = select(ShadowReadingRow).where(ShadowReadingRow.model_name == model)
        chosen = chosen.order_by(ShadowReadingRow.id.desc()).limit(limit)
        with self._reading() as session:
            return [_record(row) for row in session.scalars(chosen)]


def _drafted() -> Select[str, datetime]:
    """Return the query for the jobs whose draft stands and whose images are here."""
    return select(JobRow.id, JobRow.created_at).where(
        JobRow.state.in_((JobState.DRAFTED.value, JobState.COMPLETED.value)),
        JobRow.draft.is_not(None),
        JobRow.reason_code != ReasonCode.RECALLED,
        JobRow.superseded_by.is_(None),
        JobRow.removed_at.is_(None),
        not_a_probe(JobRow.study_instance_uid),
    )


def _lapsed(now: datetime) -> tuple[ColumnElement[bool], ...]:
    reading = ShadowReadingRow.state == ShadowState.READING.value
    return reading, ShadowReadingRow.lease_until <= now


def _held(claim: ShadowClaim) -> Update:
    return update(ShadowReadingRow).where(
        ShadowReadingRow.id == claim.id,
        ShadowReadingRow.state == ShadowState.READING.value,
        ShadowReadingRow.attempts == claim.attempt,
        ShadowReadingRow.owner == claim.owner,
    )


def _record(row: ShadowReadingRow) -> ShadowReading:
    return ShadowReading(
        id=row.id,
        job_id=row.job_id,
        study_instance_uid=row.study_instance_uid,
        model_name=row.model_name,
        model_version=row.model_version,
        state=ShadowState(row.state),
        attempts=row.attempts,
        claimed_at=row.claimed_at,
        ended_at=row.ended_at,
        seconds=row.seconds,
        prompt_sha256=row.prompt_sha256,
        reason=row.reason,
        draft=DraftReport.from_json(row.draft) if row.draft is not None else None,
        comparison=ShadowComparison.from_json(row.comparison) if row.comparison else None,
    )
