"""The studies of end-to-end checks, which lists, counts and figures leave out.

A study is that of a check only if the check registered its Study Instance UID before sending, and
holds nothing but the one Instance whose SOP Instance UID and digest it registered, and our own results.
A study to which anything else was sent is a study like any other, whatever its calling AE or UIDs: so
no sender can hide a study. The rule is evaluated in each statement; no column repeats it.
"""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session, aliased

from service.database.probe_tables import ProbeRow
from service.database.tables import InstanceRow, JobRow, ObjectRow


@cache
def probe_studies() -> Select[str]:
    """Return the query for the Study Instance UIDs of checks whose rows still exist.

    It is made once: nearly every list and count contains it, and to make it costs 1 to 2 ms.
    """
    return select(ProbeRow.study_instance_uid).where(
        ProbeRow.cleaned_at.is_(None), ~_foreign_instance().exists()
    )


def _foreign_instance() -> Select[int]:
    """Return the query, within one for `ProbeRow`, for Instances that are not part of the check."""
    # Aliases: the same tables may stand in the enclosing statement.
    image, job, result = aliased(InstanceRow), aliased(JobRow), aliased(ObjectRow)
    sent = and_(
        image.sop_instance_uid == ProbeRow.sop_instance_uid, image.digest == ProbeRow.digest
    )
    # An archive may send the results back: they are no other image.
    own_result = (
        select(result.id)
        .join(job, job.id == result.job_id)
        .where(
            job.study_instance_uid == image.study_instance_uid,
            result.sop_instance_uid == image.sop_instance_uid,
        )
    )
    return select(image.id).where(
        image.study_instance_uid == ProbeRow.study_instance_uid,
        ~sent,
        or_(image.conflict, ~own_result.exists()),
    )


def not_a_probe(study_uid: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a column of any table
    """Return the condition that the study in this column is not that of an end-to-end check."""
    found: ColumnElement[bool] = study_uid.not_in(probe_studies())
    return found


def not_of_a_probe(job_id: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a column of any table
    """Return the condition that the job in this column is not that of an end-to-end check."""
    jobs = select(JobRow.id).where(JobRow.study_instance_uid.in_(probe_studies()))
    found: ColumnElement[bool] = job_id.not_in(jobs)
    return found


def is_of_a_probe(session: Session, study_uid: str) -> bool:
    """Return whether this study is that of an end-to-end check."""
    its = probe_studies().where(ProbeRow.study_instance_uid == study_uid)
    return session.scalar(its) is not None
