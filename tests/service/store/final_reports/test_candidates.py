"""The study of a final report, and its draft in force."""

from datetime import timedelta

import pytest

from service.final_reports.report import FinalState, MatchedBy, ReportKeys
from service.store.final_reports.candidates import match
from service.study_identity import StudyIdentity
from tests.service.store.records import STUDY, arrive, claimed, drafted

LATE = timedelta(days=30)


@pytest.fixture
def matched(store):
    """A function that matches keys with the studies of the store."""

    def find(received=None, **keys):
        with store._reading() as session:
            return match(session, ReportKeys(**keys), received or store.now(), LATE)

    return find


def identify(store, study=STUDY, **changes):
    """Record the identity of a study."""
    values = {"accession_number": "A1", "patient_id": "P1", "study_date": "20260301"}
    store.record_identity(StudyIdentity(study_uid=study, **{**values, **changes}), 1)


def test_by_accession_number_uid_and_patient_and_day(store, matched):
    """Each names the draft in force."""
    job = drafted(store, claimed(store))
    identify(store)
    for by, keys in (
        (MatchedBy.ACCESSION, {"accession_number": "A1"}),
        (MatchedBy.STUDY_UID, {"study_uid": STUDY}),
        (MatchedBy.PATIENT_DAY, {"patient_id": "P1", "study_date": "20260301"}),
    ):
        found = matched(**keys)
        assert (found.matched_by, found.study_uid, found.job_id) == (by, STUDY, job.id)
        assert found.state is FinalState.MATCHED


def test_a_report_long_after_the_draft_is_late(store, clock, matched):
    """It is kept apart."""
    drafted(store, claimed(store))
    identify(store)
    assert matched(clock() + LATE, accession_number="A1").state is FinalState.MATCHED
    later = clock() + LATE + timedelta(seconds=1)
    assert matched(later, accession_number="A1").state is FinalState.LATE


def test_a_study_without_a_draft_that_stands(store, matched):
    """Not read yet, or withdrawn."""
    job = claimed(store)
    identify(store)
    assert matched(accession_number="A1").state is FinalState.NO_DRAFT
    drafted(store, job)
    store.withdraw(job.id, "Ann", "It errs.")
    assert matched(accession_number="A1").job_id == ""


def test_the_latest_revision_stands(store, clock, matched):
    """Earlier ones are superseded."""
    drafted(store, claimed(store))
    clock.move(60)
    second = drafted(store, claimed(store, 2), source=2)
    identify(store)
    assert matched(study_uid=STUDY).job_id == second.id


def test_several_studies_or_none(store, matched):
    """Nothing is guessed."""
    assert matched(accession_number="A1").state is FinalState.UNMATCHED
    for study in ("1.1", "1.2"):
        arrive(store, study=study)
    identify(store, "1.1")
    identify(store, "1.2", patient_id="P2")
    assert matched(accession_number="A1").state is FinalState.AMBIGUOUS


def test_a_number_that_many_patients_share_finds_the_study_of_the_patient(store, matched):
    """Devices write a number such as 0 for everyone; the database would return any 20 of these."""
    for number in range(60):
        study = f"1.2.{number + 1}"
        arrive(store, number + 1, study=study)
        identify(store, study, accession_number="0", patient_id=f"P{number}")
    for number in (0, 31, 59):
        found = matched(accession_number="0", patient_id=f"P{number}")
        assert (found.state, found.study_uid) == (FinalState.NO_DRAFT, f"1.2.{number + 1}")
    found = matched(accession_number="0", study_uid="1.2.60")
    assert (found.matched_by, found.study_uid) == (MatchedBy.ACCESSION, "1.2.60")
    assert matched(accession_number="0").state is FinalState.AMBIGUOUS
