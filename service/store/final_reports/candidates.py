"""Queries for the studies that a final report may be of, and for the draft that stands."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from service.database.identity_tables import StudyIdentityRow
from service.database.tables import JobRow, StudyRow
from service.final_reports.matching import Candidates, matched_study
from service.final_reports.report import FinalState, ReportKeys, StudyMatch
from service.jobs import ReasonCode
from service.store.probe_exclusion import not_a_probe
from service.store.study_identities import identity_of_row
from service.study_identity import StudyIdentity

# More studies with one accession number, or of one patient and day, are ambiguous all the same.
_MOST: Final = 20


def match(session: Session, keys: ReportKeys, received: datetime, late: timedelta) -> StudyMatch:
    """Return the study of a report, and the job whose draft stands.

    Args:
        session: A transaction.
        keys: What identifies the study.
        received: When the report arrived.
        late: A report that arrives so long after the draft is LATE.
    """
    found = matched_study(keys, _candidates(session, keys))
    if not found.study_uid:
        return found
    job = session.execute(
        select(JobRow.id, JobRow.produced_at, JobRow.created_at)
        .where(
            JobRow.study_instance_uid == found.study_uid,
            JobRow.has_draft,
            not_a_probe(JobRow.study_instance_uid),
            JobRow.superseded_by.is_(None),
            JobRow.reason_code != ReasonCode.RECALLED.value,
        )
        .order_by(JobRow.created_at.desc(), JobRow.id)
        .limit(1)
    ).first()
    if job is None:
        return found
    is_late = received - (job.produced_at or job.created_at) > late
    state = FinalState.LATE if is_late else FinalState.MATCHED
    return StudyMatch(
        state=state, matched_by=found.matched_by, study_uid=found.study_uid, job_id=job.id
    )


def _candidates(session: Session, keys: ReportKeys) -> Candidates:
    return Candidates(
        by_accession=_by_accession(session, keys),
        by_uid=_by_uid(session, keys.study_uid),
        by_patient_day=_by_patient_day(session, keys),
    )


def _by_accession(session: Session, keys: ReportKeys) -> list[StudyIdentity]:
    if not keys.accession_number:
        return []
    row = StudyIdentityRow
    # First those that may be the report's: devices write the same number, as 0, for many patients.
    order = case(
        (row.study_uid == keys.study_uid, 0),
        (func.trim(row.patient_id).in_(("", keys.patient_id)), 1),
        else_=2,
    )
    chosen = select(row).where(row.accession_number == keys.accession_number).order_by(order)
    return [identity_of_row(each) for each in session.scalars(chosen.limit(_MOST))]


def _by_patient_day(session: Session, keys: ReportKeys) -> list[StudyIdentity]:
    if not (keys.patient_id and keys.study_date):
        return []
    chosen = select(StudyIdentityRow).where(
        StudyIdentityRow.patient_id == keys.patient_id,
        StudyIdentityRow.study_date == keys.study_date,
    )
    return [identity_of_row(row) for row in session.scalars(chosen.limit(_MOST))]


def _by_uid(session: Session, uid: str) -> StudyIdentity | None:
    if not uid or session.get(StudyRow, uid) is None:
        return None
    row = session.get(StudyIdentityRow, uid)
    # After retention only the study's rows are here.
    return identity_of_row(row) if row else StudyIdentity(study_uid=uid)
