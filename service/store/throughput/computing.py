"""Computes the figures of one hour from studies, jobs and their histories."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, select
from sqlalchemy.orm import Session

from service.database.pieces import pieces
from service.database.tables import EventRow, InstanceRow, JobRow, StudyRow
from service.database.withholding_tables import WithheldDraftRow
from service.jobs import Action, JobState, ReasonCode
from service.store.probe_exclusion import not_a_probe
from service.throughput.balance import Balance, JobStanding, StudyStanding
from service.throughput.histogram import LatencyHistogram
from service.throughput.hours import HOUR, HourFigures

_LONGEST_KEY: Final = 160
# A job of an earlier version that failed and was tried again: its cause was not kept.
UNKNOWN_CAUSE: Final = "UNKNOWN"


def computed(session: Session, hour: datetime) -> HourFigures:
    """Return the figures of an hour without the depth, which cannot be computed afterwards.

    Args:
        session: A reading transaction.
        hour: The beginning of the hour.
    """
    jobs = session.execute(_jobs(hour)).all()
    return HourFigures(
        hour=hour,
        balance=Balance(
            studies=Counter(each.study_class for each in standings(session, hour)),
            jobs=Counter(_standing(each).job_class for each in jobs),
        ),
        latency=LatencyHistogram.of(_latencies(jobs)),
        failures=_failures(session, hour),
        callers=Counter(each.calling_ae for each in jobs),
        models=Counter(_model(each) for each in jobs),
    )


def standings(session: Session, hour: datetime) -> list[StudyStanding]:
    """Return where each study stands that was received in this hour."""
    # Read before the jobs: a study that waits no longer has its job in the same transaction.
    columns = (StudyRow.study_instance_uid, StudyRow.first_arrival, StudyRow.quiet_at)
    chosen = select(*columns).where(
        _within(StudyRow.first_arrival, hour), not_a_probe(StudyRow.study_instance_uid)
    )
    studies = session.execute(chosen).all()
    jobs = _jobs_of_studies(session, hour)
    bare = [each[0] for each in studies if each[0] not in jobs and each.quiet_at is None]
    images = _images(session, bare)
    return [
        StudyStanding(
            study_instance_uid=row.study_instance_uid,
            first_arrival=row.first_arrival,
            waits=row.quiet_at is not None,
            jobs=jobs.get(row.study_instance_uid, ()),
            images=images.get(row.study_instance_uid, ()),
        )
        for row in studies
    ]


def _within(column: Any, hour: datetime) -> ColumnElement[bool]:  # noqa: ANN401 - a mapped column
    return and_(column >= hour, column < hour + HOUR)


def _jobs_of_studies(session: Session, hour: datetime) -> dict[str, list[JobStanding]]:
    chosen = (
        select(JobRow.study_instance_uid, JobRow.state, JobRow.reason_code, JobRow.superseded_by)
        .join(StudyRow, StudyRow.study_instance_uid == JobRow.study_instance_uid)
        .where(
            _within(StudyRow.first_arrival, hour),
            # Such a job found that the earlier draft stands: that one decides.
            JobRow.reason_code != ReasonCode.NO_CHANGE.value,
        )
        .order_by(JobRow.created_at, JobRow.revision)
    )
    found: dict[str, list[JobStanding]] = defaultdict(list)
    for row in session.execute(chosen):
        found[row.study_instance_uid].append(_standing(row))
    return found


def _images(session: Session, study_uids: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
    columns = (InstanceRow.study_instance_uid, InstanceRow.sop_class_uid, InstanceRow.eligible)
    chosen = select(*columns).where(~InstanceRow.conflict)
    found: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for uids in pieces(study_uids):
        of_studies = chosen.where(InstanceRow.study_instance_uid.in_(uids))
        for uid, sop_class, eligible in session.execute(of_studies):
            found[uid].append((sop_class, bool(eligible)))
    return found


def _jobs(hour: datetime) -> Select[*tuple[Any, ...]]:
    confirmed = select(func.min(EventRow.at)).where(
        EventRow.job_id == JobRow.id, EventRow.action == Action.CONFIRM.value
    )
    last_image = select(func.max(InstanceRow.received_at)).where(
        InstanceRow.study_instance_uid == JobRow.study_instance_uid,
        InstanceRow.id <= JobRow.read_through,
        ~InstanceRow.conflict,
    )
    withheld = select(WithheldDraftRow.job_id).where(WithheldDraftRow.job_id == JobRow.id)
    return select(
        JobRow.state,
        JobRow.reason_code,
        JobRow.superseded_by,
        JobRow.calling_ae,
        JobRow.model_name,
        JobRow.model_version,
        JobRow.forced,
        JobRow.created_at,
        confirmed.scalar_subquery().label("confirmed_at"),
        last_image.scalar_subquery().label("last_image_at"),
        withheld.exists().label("was_withheld"),
    ).where(_within(JobRow.created_at, hour), not_a_probe(JobRow.study_instance_uid))


def _standing(row: Row[*tuple[Any, ...]]) -> JobStanding:
    return JobStanding(
        state=row.state,
        reason_code=row.reason_code,
        is_superseded=row.superseded_by is not None,
    )


def _latencies(jobs: Sequence[Row[*tuple[Any, ...]]]) -> list[float]:
    """Return the seconds from the last image to the first confirmation of each draft.

    Those of studies that a person had read again are left out: their images came long before. So are
    drafts that were withheld, which waited on purpose.
    """
    return [
        max(0.0, (row.confirmed_at - (row.last_image_at or row.created_at)).total_seconds())
        for row in jobs
        if row.confirmed_at is not None and not row.forced and not row.was_withheld
    ]


def _model(row: Row[*tuple[Any, ...]]) -> str:
    return f"{row.model_name} {row.model_version}"[:_LONGEST_KEY]


def _failures(session: Session, hour: datetime) -> dict[str, int]:
    """Return how many jobs failed in this hour by cause; a job that failed twice counts twice."""
    # Events of earlier versions have no code; the job has it unless it was tried again.
    now_failed = JobRow.state == JobState.FAILED.value
    of_job = case((now_failed, JobRow.reason_code), else_=UNKNOWN_CAUSE)
    code = case((EventRow.code != "", EventRow.code), else_=of_job)
    chosen = (
        select(code, func.count())
        .select_from(EventRow)
        .join(JobRow, JobRow.id == EventRow.job_id)
        .where(
            EventRow.action == Action.FAIL.value,
            _within(EventRow.at, hour),
            not_a_probe(JobRow.study_instance_uid),
        )
        .group_by(code)
    )
    return {cause or UNKNOWN_CAUSE: count for cause, count in session.execute(chosen)}
