"""Which study a report is of."""

import pytest

from service.final_reports.matching import Candidates, matched_study
from service.final_reports.report import FinalState, MatchedBy, ReportKeys
from service.study_identity import StudyIdentity

ONE = StudyIdentity(study_uid="1.1", accession_number="A1", patient_id="P1", study_date="20261130")
TWO = StudyIdentity(study_uid="1.2", accession_number="A1", patient_id="P1", study_date="20261130")
OTHER = StudyIdentity(study_uid="1.3", patient_id="P2")


@pytest.mark.parametrize(
    ("keys", "found", "state", "uid", "by"),
    [
        ({}, {}, FinalState.UNMATCHED, "", MatchedBy.NOTHING),
        ({}, {"by_accession": [ONE]}, FinalState.NO_DRAFT, "1.1", MatchedBy.ACCESSION),
        ({}, {"by_accession": [ONE, TWO]}, FinalState.AMBIGUOUS, "", MatchedBy.NOTHING),
        (
            {"study_uid": "1.2"},
            {"by_accession": [ONE, TWO]},
            FinalState.NO_DRAFT,
            "1.2",
            MatchedBy.ACCESSION,
        ),
        ({"patient_id": "P9"}, {"by_accession": [ONE]}, FinalState.AMBIGUOUS, "", ""),
        (
            {"study_uid": "1.3"},
            {"by_accession": [ONE], "by_uid": OTHER},
            FinalState.AMBIGUOUS,
            "",
            "",
        ),
        (
            {"study_uid": "1.9"},
            {"by_accession": [ONE]},
            FinalState.NO_DRAFT,
            "1.1",
            "accession number",
        ),
        ({}, {"by_uid": OTHER}, FinalState.NO_DRAFT, "1.3", MatchedBy.STUDY_UID),
        ({"patient_id": "P1"}, {"by_uid": OTHER}, FinalState.AMBIGUOUS, "", ""),
        (
            {"patient_id": "P1"},
            {"by_patient_day": [ONE]},
            FinalState.NO_DRAFT,
            "1.1",
            "patient and day",
        ),
        ({"patient_id": "P1"}, {"by_patient_day": [ONE, TWO]}, FinalState.AMBIGUOUS, "", ""),
    ],
)
def test_the_first_key_that_finds_a_study_decides(keys, found, state, uid, by):
    """Never a study of a patient known to be different, never one of several."""
    match = matched_study(ReportKeys(accession_number="A1", **keys), Candidates(**found))
    assert (match.state, match.study_uid, match.matched_by) == (state, uid, by)


@pytest.mark.parametrize(
    ("accession", "study_uid", "is_found"),
    [
        ("CT9", "", False),
        ("", "1.9", False),
        ("A1", "1.9", False),
        ("", "", True),
        ("", "1.1", True),
        ("00a-1", "", True),
    ],
)
def test_a_report_of_another_examination_of_the_day_is_not_of_this_study(
    accession, study_uid, is_found
):
    """The CT's report is no report of the chest film; numbers are compared without their layout."""
    keys = ReportKeys(accession_number=accession, study_uid=study_uid, patient_id="P1")
    match = matched_study(keys, Candidates(by_patient_day=[ONE]))
    assert (match.state, match.study_uid) == (
        (FinalState.NO_DRAFT, "1.1") if is_found else (FinalState.UNMATCHED, "")
    )
