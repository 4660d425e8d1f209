"""SQL statements that make jobs of studies."""

from typing import Any, Final, cast

from sqlalchemy import Dialect, Insert, Select, Table, Update, case, func, insert, select, update

from service.database.tables import EventRow, InstanceRow, JobRow, StudyRow
from service.store.statements.compiled import any_of, rows_of

_STUDIES: Final = cast("Table", StudyRow.__table__)
_INSTANCES: Final = cast("Table", InstanceRow.__table__)
_JOBS: Final = cast("Table", JobRow.__table__)
_EVENTS: Final = cast("Table", EventRow.__table__)
# Left out of the INSERT: NULL, empty or false until something happens to the job.
_LATER: Final = frozenset(
    {
        "produced_at",
        "not_before",
        "removed_at",
        "read_through",
        "lease_until",
        "superseded_by",
        "draft",
        "urgent_finding",
        "decided",
        "doubt",
        "doubted_at",
    }
)


def locked_studies(_dialect: Dialect, count: int) -> Select[Any]:
    """Select studies and lock them until the commit, in UID order against deadlocks."""
    return (
        select(_STUDIES.c.study_instance_uid, _STUDIES.c.calling_ae, _STUDIES.c.urgent)
        .where(any_of(_STUDIES.c.study_instance_uid, count))
        .order_by(_STUDIES.c.study_instance_uid)
        .with_for_update()
    )


def clear_quiet_time(_dialect: Dialect, count: int) -> Update:
    """Mark studies as no longer waiting for a job."""
    return (
        update(_STUDIES).where(any_of(_STUDIES.c.study_instance_uid, count)).values(quiet_at=None)
    )


def jobs_of_studies(_dialect: Dialect, count: int) -> Select[Any]:
    """Select the studies' jobs in order of their revision, so the latest of each comes last."""
    columns = (_JOBS.c.id, _JOBS.c.study_instance_uid, _JOBS.c.model_name, _JOBS.c.revision)
    return (
        select(*columns, _JOBS.c.state, _JOBS.c.read_through)
        .where(any_of(_JOBS.c.study_instance_uid, count))
        .order_by(_JOBS.c.revision)
    )


def newest_instances(_dialect: Dialect, count: int) -> Select[Any]:
    """Select for each study the highest id of its Instances, and of its eligible ones (0 for none)."""
    return (
        select(
            _INSTANCES.c.study_instance_uid,
            func.max(_INSTANCES.c.id),
            func.max(case((_INSTANCES.c.eligible, _INSTANCES.c.id), else_=0)),
        )
        .where(any_of(_INSTANCES.c.study_instance_uid, count), ~_INSTANCES.c.conflict)
        .group_by(_INSTANCES.c.study_instance_uid)
    )


def new_jobs(_dialect: Dialect, count: int) -> Insert:
    """Insert new jobs."""
    columns = [each for each in _JOBS.c if each.name not in _LATER]
    return insert(_JOBS).values(rows_of(columns, count)).inline()


def new_events(_dialect: Dialect, count: int) -> Insert:
    """Insert lines of job histories."""
    columns = [each for each in _EVENTS.c if each.name != "id"]
    return insert(_EVENTS).values(rows_of(columns, count)).inline()
