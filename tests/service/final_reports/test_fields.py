"""The fields of one final report."""

from datetime import UTC, datetime

import pytest

from service.final_reports.fields import (
    LONGEST_TEXT,
    FieldFault,
    PreliminaryReport,
    column_of,
    report_of,
)
from service.final_reports.report import FinalSource, FinalStatus

GOOD = {"accession_number": "A1", "report": "The lungs are clear."}


def made(**fields):
    """Return the report of the good fields with changes."""
    return report_of({**GOOD, **fields}, FinalSource.FILE)


def test_a_report_in_full():
    """Every field is taken; sections get their headings."""
    report = made(
        study_uid="1.2.3",
        patient_id=" P1 ",
        study_date="2026-11-30",
        report_id="R/9",
        status="Corrected",
        reported_at="2026-11-30T08:15:00+01:00",
        report="",
        findings="Clear.",
        impression="Normal.",
    )
    assert report.keys.study_date == "20261130"
    assert report.keys.patient_id == "P1"
    assert report.status is FinalStatus.FINAL
    assert report.reported_at == datetime(2026, 11, 30, 7, 15, tzinfo=UTC)
    assert report.text == "FINDINGS: Clear.\nIMPRESSION: Normal."
    assert "P1" not in repr(report)
    assert "Clear" not in repr(report)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"study_uid": "one.two"}, "study_uid"),
        ({"study_uid": "1.2" * 40}, "study_uid"),
        ({"study_date": "30.11.2026"}, "study_date"),
        ({"study_date": "20261331"}, "study_date"),
        ({"status": "perhaps"}, "status"),
        ({"reported_at": "yesterday"}, "reported_at"),
        ({"reported_at": "0001-01-01T00:00:00+14:00"}, "reported_at"),
        ({"accession_number": "A" * 65}, "accession_number"),
        ({"accession_number": "A\x07"}, "accession_number"),
        ({"accession_number": ""}, "accession_number"),
        ({"accession_number": "", "patient_id": "P1"}, "accession_number"),
        ({"report": " "}, "report"),
        ({"report": "x" * (LONGEST_TEXT + 1)}, "report"),
    ],
)
def test_a_fault_names_its_column_and_no_value(changes, column):
    """The message states what to do, without the value of the cell."""
    with pytest.raises(FieldFault) as fault:
        made(**changes)
    assert fault.value.column == column
    assert len(str(fault.value)) > len(column) + 12
    for value in changes.values():
        assert not value.strip() or value not in str(fault.value)


def test_states_of_the_reporting_system():
    """HL7's letters and words; a preliminary report is not used, a withdrawn one needs no text."""
    assert made(status="C").status is FinalStatus.FINAL
    assert made(status="X", report="").status is FinalStatus.WITHDRAWN
    with pytest.raises(PreliminaryReport):
        made(status="P")


def test_column_names_of_other_systems():
    """Without case, spaces, underscores and hyphens."""
    assert column_of("Accession Number") == "accession_number"
    assert column_of("\ufeffStudyInstanceUID") == "study_uid"
    assert column_of("PatientID") == "patient_id"
    assert column_of("Patient Name") == ""
