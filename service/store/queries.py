"""Queries of the pages, the command line and the metrics."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.orm import Session

from dicom.content.output_kind import OutputKind
from dicom.content.report import Predecessor
from service.database.question_tables import QuestionRow
from service.database.tables import (
    DeliveryRow,
    EventRow,
    IncidentRow,
    InstanceRow,
    JobRow,
    ObjectRow,
    StudyRow,
)
from service.errors import NotFound
from service.jobs import DeliveryState, DraftStatus, JobState
from service.records import (
    ArrivingStudy,
    Delivery,
    Job,
    JobEvent,
    JobWithDraft,
    Position,
    ResultObject,
)
from service.store import record_mapping
from service.store.doubts import alarmed
from service.store.probe_exclusion import not_a_probe, probe_studies
from service.store.session import Transactions

_PREFIX = re.compile(r"[0-9a-f]{4,32}")


class Queries(Transactions):
    """Read-only queries."""

    def job(self, job_id: str, *, with_withheld: bool = False) -> JobWithDraft:
        """Return the job with this id, or the only one whose id has this prefix (4 characters or more).

        Args:
            job_id: The id or its beginning.
            with_withheld: Also a draft that is withheld; it must not be shown.

        Raises:
            NotFound: There is none, or there are several.
        """
        if not _PREFIX.fullmatch(job_id):
            raise NotFound(f"not a job id: {job_id[:40]!a}")
        with self._reading() as session:
            # A range, not LIKE, for which neither database uses the index of the ids.
            begins = (JobRow.id >= job_id, JobRow.id < f"{job_id}g")
            found = session.scalars(select(JobRow).where(*begins).limit(2)).all()
            if not found:
                raise NotFound(f"there is no job {job_id}")
            if len(found) > 1:
                raise NotFound(f"several jobs begin with {job_id}: give more of the id")
            return record_mapping.job(found[0], with_withheld=with_withheld)

    def jobs(
        self,
        states: Collection[JobState] | None = None,
        *,
        limit: int = 100,
        before: str | Position | None = None,
        study: str | None = None,
        status: DraftStatus | None = None,
    ) -> list[Job]:
        """Return jobs without their drafts, the newest first.

        Args:
            states: Only in these states; in any when None or empty.
            limit: Most jobs to return.
            before: Only those older than the job with this id, or than this position: the next page.
            study: Only of this Study Instance UID; without it those of end-to-end checks are left out.
            status: Only those whose draft is withdrawn, or only those whose draft is in doubt.

        Raises:
            NotFound: There is no job with the id `before`.
        """
        chosen = select(JobRow).options(record_mapping.NO_DRAFT).limit(limit)
        chosen = chosen.order_by(JobRow.created_at.desc(), JobRow.id.desc())
        if states:
            chosen = chosen.where(JobRow.state.in_([state.value for state in states]))
        if status is not None:
            chosen = chosen.where(*alarmed(status))
        if study is None:
            chosen = chosen.where(not_a_probe(JobRow.study_instance_uid))
        else:
            chosen = chosen.where(JobRow.study_instance_uid == study)
        with self._reading() as session:
            if before is not None:
                mark = before if isinstance(before, Position) else _position(session, before)
                place = tuple_(mark.at, mark.id, types=(JobRow.created_at.type, JobRow.id.type))
                chosen = chosen.where(tuple_(JobRow.created_at, JobRow.id) < place)
            return record_mapping.jobs(session.scalars(chosen))

    def ahead(self, limit: int = 1000) -> dict[str, int]:
        """Return the number of jobs ahead of each job that is due now, by job id; for each model alone.

        Urgent ones are read first, then the oldest.

        Args:
            limit: Only the first `limit` jobs of each model.
        """
        now = self.now()
        order = (JobRow.urgent.desc(), JobRow.created_at, JobRow.id)
        place = func.row_number().over(partition_by=JobRow.model_name, order_by=order) - 1
        line = (
            select(JobRow.id, place.label("place"))
            .where(JobRow.state == JobState.SCHEDULED.value)
            .where(or_(JobRow.not_before.is_(None), JobRow.not_before <= now))
            .subquery()
        )
        with self._reading() as session:
            found = session.execute(select(line.c.id, line.c.place).where(line.c.place < limit))
            return {job_id: place for job_id, place in found}  # noqa: C416 - rows are no pairs

    def events(self, job_id: str) -> list[JobEvent]:
        """Return the job's history, the oldest first."""
        with self._reading() as session:
            found = session.scalars(
                select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.id)
            )
            return [record_mapping.event(row) for row in found]

    def deliveries(self, job_id: str) -> list[Delivery]:
        """Return the deliveries of the job's results, one for each destination."""
        with self._reading() as session:
            found = session.scalars(
                select(DeliveryRow)
                .where(DeliveryRow.job_id == job_id, DeliveryRow.notice == "")
                .order_by(DeliveryRow.id)
            )
            return [record_mapping.delivery(row) for row in found]

    def deliveries_of(self, jobs: Iterable[Job]) -> dict[str, list[Delivery]]:
        """Return the deliveries of the results of several jobs, by job id, with one statement."""
        found: dict[str, list[Delivery]] = {job.id: [] for job in jobs}
        chosen = select(DeliveryRow).where(
            DeliveryRow.job_id.in_(list(found)), DeliveryRow.notice == ""
        )
        with self._reading() as session:
            for row in session.scalars(chosen.order_by(DeliveryRow.id)):
                found[row.job_id].append(record_mapping.delivery(row))
        return found

    def objects(self, job_id: str) -> list[ResultObject]:
        """Return the result objects of the job, in the order in which they were made."""
        with self._reading() as session:
            found = session.scalars(
                select(ObjectRow).where(ObjectRow.job_id == job_id).order_by(ObjectRow.id)
            )
            return [record_mapping.result_object(row) for row in found]

    def predecessor(self, drafted: Job) -> Predecessor | None:
        """Return how a later draft references the draft report of `drafted`; None if it has none."""
        for item in self.objects(drafted.id):
            if item.kind == OutputKind.DRAFT_REPORT:
                return Predecessor(
                    sop_instance_uid=item.sop_instance_uid,
                    sop_class_uid=item.sop_class_uid,
                    series_instance_uid=item.series_instance_uid,
                )
        return None

    def arriving(self, limit: int = 50) -> list[ArrivingStudy]:
        """Return the studies that wait for a job, those whose quiet time ends first at the front."""
        images = (
            select(func.count(InstanceRow.id))
            .where(InstanceRow.study_instance_uid == StudyRow.study_instance_uid)
            .scalar_subquery()
        )
        with self._reading() as session:
            found = session.execute(
                select(StudyRow.study_instance_uid, StudyRow.calling_ae, images, StudyRow.quiet_at)
                .where(StudyRow.quiet_at.is_not(None), not_a_probe(StudyRow.study_instance_uid))
                .order_by(StudyRow.quiet_at)
                .limit(limit)
            )
            return [
                ArrivingStudy(
                    study_instance_uid=uid, calling_ae=calling_ae, images=count, quiet_at=quiet_at
                )
                for uid, calling_ae, count, quiet_at in found
            ]

    def counts(self) -> dict[JobState, int]:
        """Return the number of jobs in each state; 0 for states without any.

        Jobs of end-to-end checks are not counted.
        """
        by_state = select(JobRow.state, func.count()).group_by(JobRow.state)
        of_probes = by_state.where(JobRow.study_instance_uid.in_(probe_studies()))
        with self._reading() as session:
            # Subtracted, so that the count of all jobs reads an index only.
            counted = Counter({row[0]: row[1] for row in session.execute(by_state)})
            counted.subtract({row[0]: row[1] for row in session.execute(of_probes)})
        # A state of another version is left out, as `record_mapping.jobs` leaves out its jobs.
        return {state: counted.get(state.value, 0) for state in JobState}

    def delivery_counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Return the number of deliveries by destination and state, where it is above 0.

        Those of end-to-end checks are not counted.
        """
        columns = (DeliveryRow.destination, DeliveryRow.state)
        by_state = select(*columns, func.count()).group_by(*columns)
        jobs = select(JobRow.id).where(JobRow.study_instance_uid.in_(probe_studies()))
        of_probes = by_state.where(DeliveryRow.job_id.in_(jobs))
        with self._reading() as session:
            counted = Counter({(row[0], row[1]): row[2] for row in session.execute(by_state)})
            counted.subtract({(row[0], row[1]): row[2] for row in session.execute(of_probes)})
        known = {state.value: state for state in DeliveryState}
        return {
            (name, known[state]): count
            for (name, state), count in counted.items()
            if state in known and count > 0
        }

    def oldest_waiting(
        self, states: Sequence[JobState] = (JobState.SCHEDULED, JobState.IN_PROGRESS)
    ) -> Job | None:
        """Return the oldest job in one of `states` (default: not yet drafted); None if there is none."""
        with self._reading() as session:
            found = session.scalars(
                select(JobRow)
                .options(record_mapping.NO_DRAFT)
                .where(
                    JobRow.state.in_([state.value for state in states]),
                    not_a_probe(JobRow.study_instance_uid),
                )
                .order_by(JobRow.created_at)
                .limit(1)
            )
            return next(iter(record_mapping.jobs(found)), None)

    def version(self) -> str:
        """Return a token that changes with each event, Instance, incident, job or question; cheap."""
        marks = (
            select(func.max(EventRow.id)),
            select(func.max(InstanceRow.id)),
            select(func.max(IncidentRow.id)),
            select(func.max(JobRow.updated_at)),
            select(func.max(QuestionRow.updated_at)),
        )
        with self._reading() as session:
            return "-".join(str(session.scalar(mark) or 0) for mark in marks)


def _position(session: Session, job_id: str) -> Position:
    found = session.execute(
        select(JobRow.created_at, JobRow.id).where(JobRow.id == job_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"there is no job {job_id[:32]!a}")
    return Position(at=found.created_at, id=found.id)
