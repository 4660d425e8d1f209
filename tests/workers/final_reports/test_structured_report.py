"""Report SRs of other systems: which are final reports, and what their text is."""

import pytest

from dicom.errors import DicomError
from workers.final_reports.structured_report import report_in


def test_the_sections_of_a_report(reports, tmp_path):
    """Findings and impression with headings; the history stays out."""
    report = report_in(reports.saved(reports.document(*reports.sections), tmp_path))
    assert report.text == "FINDINGS:\nEdema.\nIMPRESSION:\nCardiac failure."
    assert report.keys.accession_number == "A1"
    assert report.keys.study_uid == "1.2.3"
    assert f"{report.reported_at.astimezone():%H:%M}" == "08:15"


def test_a_report_without_sections(reports, tmp_path):
    """All its text."""
    report = report_in(
        reports.saved(reports.document(reports.node("TEXT", "121111", text="No edema.")), tmp_path)
    )
    assert report.text == "No edema."


@pytest.mark.parametrize(
    "changes",
    [
        {"CompletionFlag": "PARTIAL"},
        {"VerificationFlag": "UNVERIFIED"},
        {"Manufacturer": "Wetread"},
        {"ConceptNameCodeSequence": "MEASUREMENTS"},
        {"StudyInstanceUID": ""},
        {"ContentSequence": []},
    ],
)
def test_what_is_no_final_report(changes, reports, tmp_path):
    """Not verified, not complete, ours, measurements, without study or text."""
    if changes.get("ConceptNameCodeSequence"):
        changes = {"ConceptNameCodeSequence": [reports.coded("126000")]}
    assert (
        report_in(reports.saved(reports.document(*reports.sections, **changes), tmp_path)) is None
    )


def test_limits(reports, tmp_path):
    """A deep tree, a wide tree and a file that is no DICOM end with an error in a short time."""
    deep = reports.node("TEXT", "121071", text="x")
    for _ in range(40):
        deep = reports.node("CONTAINER", "121070", children=[deep])
    wide = [reports.node("TEXT", "121071", text="x") for _ in range(6000)]
    garbage = tmp_path / "garbage.dcm"
    garbage.write_bytes(b"\x00" * 500)
    for path in (
        reports.saved(reports.document(deep, number=2), tmp_path),
        reports.saved(reports.document(*wide, number=3), tmp_path),
        garbage,
    ):
        with pytest.raises(DicomError):
            report_in(path)
