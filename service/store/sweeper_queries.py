"""Queries of the sweeper: what is due, what was lost, what is old."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, update

from service.audit import AuditAction, AuditEvent
from service.database.spooled_images import spooled_images
from service.database.tables import (
    DeliveryRow,
    InstanceRow,
    JobRow,
    ObjectRow,
    ProcessRow,
    StudyRow,
)
from service.jobs import FINAL, DeliveryState, Event, JobState
from service.records import Job, PastClaims
from service.store import record_mapping
from service.store.network.paused import is_paused
from service.store.probe_exclusion import not_a_probe
from service.store.reader_study.reading import in_open_reader_study
from service.store.review.awaiting import awaits_decision, has_radiologist
from service.store.transitions import (
    IS_SENDABLE,
    UNDRAFTED,
    Transitions,
    changed_rows,
    later_drafts,
)

_UNDECIDED: Final = AuditEvent(
    action=AuditAction.REMOVED_UNDECIDED,
    actor="sweeper",
    detail="images removed; the draft awaited a decision",
)
# Tolerated difference between the clocks of the machines that share a database.
SKEW: Final = timedelta(seconds=60)
_OPEN: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
# A job may end in these states without rows for the files that its only claim has written.
_UNFINISHED: Final = (JobState.FAILED.value, JobState.CANCELED.value)


class SweeperQueries(Transitions):
    """The part of the store that the sweeper uses."""

    def lapsed(self, now: datetime, *, limit: int = 100) -> list[Job]:
        """Return the IN_PROGRESS jobs whose lease has ended."""
        with self._reading() as session:
            found = session.scalars(
                select(JobRow)
                .options(record_mapping.NO_DRAFT)
                .where(JobRow.state == JobState.IN_PROGRESS.value, JobRow.lease_until <= now)
                .limit(limit)
            )
            return record_mapping.jobs(found)

    def held_by(self, owner: str) -> list[Job]:
        """Return the jobs that `owner` holds."""
        with self._reading() as session:
            found = session.scalars(
                select(JobRow)
                .options(record_mapping.NO_DRAFT)
                .where(JobRow.state == JobState.IN_PROGRESS.value, JobRow.lease_owner == owner)
            )
            return record_mapping.jobs(found)

    def next_urgent(self, model: str) -> str | None:
        """Return the id of the oldest urgent job of `model` that is due now; None if there is none."""
        now = self.now()
        chosen = (
            select(JobRow.id)
            .where(
                JobRow.state == JobState.SCHEDULED.value,
                JobRow.urgent,
                JobRow.model_name == model,
                or_(JobRow.not_before.is_(None), JobRow.not_before <= now),
            )
            .order_by(JobRow.created_at, JobRow.id)
            .limit(1)
        )
        with self._reading() as session:
            return session.scalar(chosen)

    def due_readings(
        self, now: datetime, published_before: datetime, *, limit: int = 1000
    ) -> list[Job]:
        """Return the SCHEDULED jobs that are due and were not published lately.

        Args:
            now: Jobs that wait for a later time are left out.
            published_before: Jobs published after this time are left out.
            limit: Most jobs to return; urgent ones first, then the oldest.
        """
        with self._reading() as session:
            found = session.scalars(
                select(JobRow)
                .options(record_mapping.NO_DRAFT)
                .where(
                    JobRow.state == JobState.SCHEDULED.value,
                    or_(JobRow.not_before.is_(None), JobRow.not_before <= now),
                    or_(JobRow.published_at.is_(None), JobRow.published_at <= published_before),
                )
                .order_by(JobRow.urgent.desc(), JobRow.created_at)
                .limit(limit)
            )
            return record_mapping.jobs(found)

    def due_deliveries(
        self, now: datetime, published_before: datetime, *, limit: int = 1000
    ) -> list[tuple[int, Job, datetime | None]]:
        """Return the PENDING deliveries that are due, not paused, and were not published lately.

        Args:
            now: Deliveries that wait for a later time are left out.
            published_before: Deliveries published after this time are left out.
            limit: Most deliveries to return; urgent ones first, then those never tried, then the oldest.

        Returns:
            For each its id, its job, and when it was last published.
        """
        with self._reading() as session:
            found = session.execute(
                select(DeliveryRow.id, JobRow, DeliveryRow.published_at)
                .options(record_mapping.NO_DRAFT)
                .join(JobRow, JobRow.id == DeliveryRow.job_id)
                .where(
                    DeliveryRow.state == DeliveryState.PENDING.value,
                    IS_SENDABLE,
                    ~is_paused(),
                    or_(DeliveryRow.not_before.is_(None), DeliveryRow.not_before <= now),
                    or_(
                        DeliveryRow.published_at.is_(None),
                        DeliveryRow.published_at <= published_before,
                    ),
                )
                .order_by(JobRow.urgent.desc(), DeliveryRow.attempts > 0, DeliveryRow.id)
                .limit(limit)
            )
            due = found.all()
            # `record_mapping.jobs` leaves out rows that it cannot map.
            jobs = {job.id: job for job in record_mapping.jobs(row for _, row, _ in due)}
            return [
                (number, jobs[row.id], published)
                for number, row, published in due
                if row.id in jobs
            ]

    def waiting_models(self, since: datetime) -> list[str]:
        """Return the models for which due jobs wait since before this time, sorted by name."""
        waiting = select(JobRow.model_name).where(
            JobRow.state == JobState.SCHEDULED.value,
            JobRow.updated_at < since,
            or_(JobRow.not_before.is_(None), JobRow.not_before < since),
        )
        with self._reading() as session:
            return sorted(session.scalars(waiting.distinct()))

    def senders(self, studies: Sequence[str]) -> dict[str, str]:
        """Return the calling AE of the latest Instance of each of these studies."""
        chosen = select(StudyRow.study_instance_uid, StudyRow.calling_ae).where(
            StudyRow.study_instance_uid.in_(studies)
        )
        with self._reading() as session:
            return {row.study_instance_uid: row.calling_ae for row in session.execute(chosen)}

    def mark_published(self, job_ids: list[str], delivery_ids: list[int], at: datetime) -> None:
        """Set the time at which messages for these jobs and deliveries were published."""
        with self._writing() as session:
            if job_ids:
                changed_rows(
                    session,
                    update(JobRow).where(JobRow.id.in_(job_ids)).values(published_at=at),
                )
            if delivery_ids:
                changed_rows(
                    session,
                    update(DeliveryRow)
                    .where(DeliveryRow.id.in_(delivery_ids))
                    .values(published_at=at),
                )

    def correct_future_times(self, now: datetime, *, lease: timedelta, wait: timedelta) -> int:
        """Correct times that lie too far ahead: they were written while the clock was set ahead.

        Without this a job that was handed back at "four o'clock" would wait until then, though it is
        three.

        Args:
            now: Time by the store's clock; times less than `SKEW` too far ahead are left alone.
            lease: The longest lease of a reading or a delivery.
            wait: The longest pause between two tries of either.

        Returns:
            How many studies, jobs and deliveries were changed.
        """
        # A time is corrected only if no correct clock can have set it: beyond SKEW and, for a lease or a
        # pause, beyond the longest one.
        ahead = now + SKEW
        unpublished = {"published_at": None}
        due = unpublished | {"not_before": None}
        open_job = JobRow.state == JobState.SCHEDULED.value
        pending = DeliveryRow.state == DeliveryState.PENDING.value
        changes = [
            update(StudyRow)
            .where(StudyRow.last_arrival > ahead, StudyRow.quiet_at > ahead)
            .values(quiet_at=now, last_arrival=now),
            update(JobRow).where(open_job, JobRow.published_at > ahead).values(unpublished),
            update(JobRow).where(open_job, JobRow.not_before > ahead + wait).values(due),
            update(JobRow)
            .where(JobRow.state == JobState.IN_PROGRESS.value, JobRow.lease_until > ahead + lease)
            .values(lease_until=now + lease),
            update(DeliveryRow)
            .where(pending, DeliveryRow.published_at > ahead)
            .values(unpublished),
            update(DeliveryRow).where(pending, DeliveryRow.not_before > ahead + wait).values(due),
            update(DeliveryRow)
            .where(
                DeliveryRow.state == DeliveryState.SENDING.value,
                DeliveryRow.lease_until > ahead + lease,
            )
            .values(lease_until=now + lease),
        ]
        with self._writing() as session:
            found = sum(changed_rows(session, change) for change in changes)
            seen = update(ProcessRow).where(ProcessRow.seen_at > ahead)
            changed_rows(session, seen.values(seen_at=now))
        return found

    def removable(
        self,
        older_than: datetime,
        *,
        excluding: Sequence[str] = (),
        limit: int = 100,
        confirmed: bool = False,
        undecided_before: datetime | None = None,
    ) -> list[str]:
        """Return the studies whose latest Instance came, and whose jobs all ended, before `older_than`.

        Left out are studies without files, those with a delivery that is open or owed, those of an open
        reader study, and those in `excluding`; with `confirmed` also those with a draft that a
        destination has not confirmed. A draft that awaits a decision keeps its study, unless its job was
        made before `undecided_before`.
        """
        more = _more(confirmed=confirmed, undecided_before=undecided_before)
        chosen = (
            select(StudyRow.study_instance_uid)
            .where(*_is_old(older_than), *more, StudyRow.study_instance_uid.not_in(excluding))
            .order_by(StudyRow.last_arrival)
            .limit(limit)
        )
        with self._reading() as session:
            return list(session.scalars(chosen))

    def is_removable(
        self,
        study_uid: str,
        older_than: datetime,
        *,
        confirmed: bool = False,
        undecided_before: datetime | None = None,
    ) -> bool:
        """Return whether `removable` would name the study now."""
        more = _more(confirmed=confirmed, undecided_before=undecided_before)
        chosen = select(StudyRow.study_instance_uid).where(
            StudyRow.study_instance_uid == study_uid, *_is_old(older_than), *more
        )
        with self._reading() as session:
            return session.scalar(chosen) is not None

    def past_claims(
        self, after: PastClaims | None, before: datetime, *, limit: int
    ) -> list[PastClaims]:
        """Return jobs that are neither SCHEDULED nor IN_PROGRESS and may have a void claim.

        Args:
            after: Those last changed after this one; from the first when None.
            before: Those last changed at or before this time.
            limit: Most jobs to return, in the order of their last change.
        """
        chosen = (
            select(JobRow.id, JobRow.updated_at, JobRow.fence)
            .where(
                JobRow.updated_at <= before,
                JobRow.removed_at.is_(None),
                JobRow.state.not_in(UNDRAFTED),
                or_(JobRow.fence > 1, and_(JobRow.fence == 1, JobRow.state.in_(_UNFINISHED))),
            )
            .order_by(JobRow.updated_at, JobRow.id)
            .limit(limit)
        )
        if after is not None:
            same_time = and_(JobRow.updated_at == after.updated_at, JobRow.id > after.job_id)
            chosen = chosen.where(or_(JobRow.updated_at > after.updated_at, same_time))
        with self._reading() as session:
            found = session.execute(chosen).all()
            made = select(ObjectRow.job_id, ObjectRow.path)
            made = made.where(ObjectRow.job_id.in_([row.id for row in found]))
            folders: dict[str, set[str]] = {row.id: set() for row in found}
            # A result lies in outbox/<job>/<number of the claim>/.
            for job_id, path in session.execute(made):
                folders[job_id].add(Path(path).parent.name)
        return [
            PastClaims(
                job_id=row.id,
                updated_at=row.updated_at,
                fence=row.fence,
                kept=frozenset(folders[row.id]),
            )
            for row in found
        ]

    def removed(self, job_id: str, reason: str) -> bool:
        """Record once, with a line in its history, that retention removed the job's files.

        Returns:
            Whether its draft awaited a decision; the audit trail then has a record of the removal.
        """
        with self._writing() as session:
            awaited = select(JobRow.id).where(
                JobRow.id == job_id, *awaits_decision(), has_radiologist()
            )
            is_awaited = session.scalar(awaited) is not None
            first = (
                update(JobRow)
                .where(JobRow.id == job_id, JobRow.removed_at.is_(None))
                .values(removed_at=self.now())
            )
            if not changed_rows(session, first):
                return False
            row = self._row(session, job_id)
            state = JobState(row.state)
            self._event(session, job_id, Event.REMOVE_FILES, "sweeper", (state, state), reason)
            if is_awaited:
                self._audit(session, _UNDECIDED, study_uid=row.study_instance_uid, job_id=job_id)
            return is_awaited


def _more(*, confirmed: bool, undecided_before: datetime | None) -> list[ColumnElement[bool]]:
    # The images of an open reader study are still to be read.
    more = [~in_open_reader_study(), *(_is_confirmed() if confirmed else [])]
    if undecided_before is not None:
        awaited = select(JobRow.id).where(
            JobRow.study_instance_uid == StudyRow.study_instance_uid,
            *awaits_decision(),
            JobRow.created_at >= undecided_before,
            has_radiologist(),
        )
        more.append(~awaited.exists())
    return more


def _is_old(older_than: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions for a study that has files and is no longer needed."""
    jobs = select(JobRow.id).where(JobRow.study_instance_uid == StudyRow.study_instance_uid)
    final = [state.value for state in FINAL]
    still_needed = jobs.where(or_(JobRow.state.not_in(final), JobRow.updated_at > older_than))
    # A failed delivery is still owed, and its files are kept, until a later draft stands or the job is
    # canceled.
    refused = and_(
        DeliveryRow.state == DeliveryState.FAILED.value,
        JobRow.state == JobState.FAILED.value,
        JobRow.removed_at.is_(None),
        JobRow.superseded_by.is_(None),
        ~later_drafts(JobRow).exists(),
    )
    unsent = jobs.join(DeliveryRow, DeliveryRow.job_id == JobRow.id).where(
        or_(DeliveryRow.state.in_(_OPEN), refused)
    )
    images = spooled_images(StudyRow.study_instance_uid)
    # An Instance that came again after its removal counts as received at that time.
    recent = images.where(InstanceRow.received_at > older_than)
    return [
        StudyRow.quiet_at.is_(None),
        not_a_probe(StudyRow.study_instance_uid),
        StudyRow.last_arrival <= older_than,
        ~still_needed.exists(),
        ~unsent.exists(),
        ~recent.exists(),
        or_(jobs.where(JobRow.removed_at.is_(None)).exists(), images.exists()),
    ]


def _is_confirmed() -> list[ColumnElement[bool]]:
    """Return the conditions for a study whose drafts are all confirmed by their destinations.

    A study that was not read, failed, or has no destination may be read again: its Instances stay. So
    do those of a study with a conflict, because the Instance that was kept apart was not read.
    """
    jobs = select(JobRow.id).where(JobRow.study_instance_uid == StudyRow.study_instance_uid)
    ended_well = (JobState.COMPLETED.value, JobState.CANCELED.value)
    completed = jobs.where(JobRow.state == JobState.COMPLETED.value)
    sent = select(DeliveryRow.id).where(DeliveryRow.job_id == JobRow.id)
    unconfirmed = sent.where(DeliveryRow.state != DeliveryState.CONFIRMED.value)
    apart = spooled_images(StudyRow.study_instance_uid).where(InstanceRow.conflict)
    return [
        ~apart.exists(),
        completed.exists(),
        ~jobs.where(JobRow.state.not_in(ended_well)).exists(),
        ~completed.where(or_(~sent.exists(), unconfirmed.exists())).exists(),
    ]
