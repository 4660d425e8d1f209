"""The verified report: a person's, complete, and never made by the service alone."""

import ast
import subprocess
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom.content.codes import REPLACED_REPORT, Code
from dicom.content.report import Predecessor
from dicom.errors import DatasetMismatch, InvalidOutput
from dicom.results.draft_sr import draft_report
from dicom.results.outputs import Output, as_file, encode
from dicom.results.verified_sr import VerifiedReport, Verifier, verified_report
from dicom.validation.result_object import faults

REPOSITORY = Path(__file__).parents[3]
SIGNED_AT = datetime(2026, 3, 4, 9, 40, 0, tzinfo=UTC)


@pytest.fixture
def signed(image_header, make_draft, equipment):
    """A function that returns the draft's SR and the verified report of it, read back."""

    def sign(header=None, **changes):
        header = header or image_header(TimezoneOffsetFromUTC="+0100")
        draft = make_draft(header)
        before = draft_report(draft, header, equipment)
        values = {
            "draft": draft,
            "preliminary": Predecessor(
                sop_instance_uid=before.SOPInstanceUID,
                sop_class_uid=before.SOPClassUID,
                series_instance_uid=before.SeriesInstanceUID,
            ),
            "verifier": Verifier(
                name="Röntgen^Wilhelm",
                organization="Klinikum Süd",
                identifier=Code("4711", "99KLINIKUM", "Wilhelm Röntgen"),
            ),
            "verified_at": SIGNED_AT,
            "findings_text": ("The heart is enlarged.", "No consolidation."),
            "impression_text": ("Cardiomegaly.",),
        }
        report = VerifiedReport(**{**values, **changes})
        return before, dcmread(BytesIO(verified_report(report, header, equipment)))

    return sign


def test_it_is_final_complete_and_verified_by_a_person(signed):
    """The three flags, the verifying observer with name, organization, time and code."""
    _, document = signed()
    flags = (document.PreliminaryFlag, document.CompletionFlag, document.VerificationFlag)
    assert flags == ("FINAL", "COMPLETE", "VERIFIED")
    observer = document.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == "Röntgen^Wilhelm"
    assert observer.VerifyingOrganization == "Klinikum Süd"
    assert observer.VerificationDateTime == "20260304104000"
    assert observer.VerifyingObserverIdentificationCodeSequence[0].CodeValue == "4711"
    assert document.AuthorObserverSequence[0].ObserverType == "PSN"


def test_it_names_the_draft_as_its_preliminary_report(signed):
    """The predecessor is the draft, with purpose (121362, DCM, "Preliminary report")."""
    draft, document = signed()
    series = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    reference = series.ReferencedSOPSequence[0]
    purpose = reference.PurposeOfReferenceCodeSequence[0]
    assert series.SeriesInstanceUID == draft.SeriesInstanceUID
    assert reference.ReferencedSOPInstanceUID == draft.SOPInstanceUID
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121362", "DCM")
    assert purpose.CodeMeaning == "Preliminary report"


def test_it_is_a_new_instance_in_a_new_series_of_the_same_study(signed):
    """The draft is not touched: instance and series are new, patient and study the same."""
    draft, document = signed()
    assert document.SOPInstanceUID != draft.SOPInstanceUID
    assert document.SeriesInstanceUID != draft.SeriesInstanceUID
    assert document.SeriesDescription == "Radiology report (verified)"
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber"):
        assert document[keyword].value == draft[keyword].value


def test_it_holds_what_was_signed_and_no_banner(signed, content_items):
    """The radiologist's sentences, the fact that an AI draft came before, a person as observer."""
    _, document = signed()
    items = list(content_items(document))
    texts = [item.TextValue for item in items if item.ValueType == "TEXT"]
    assert texts[-3:] == ["The heart is enlarged.", "No consolidation.", "1. Cardiomegaly."]
    assert not [line for line in texts if "UNVERIFIED" in line or "AI draft." in line]
    assert any("was the preliminary report" in line for line in texts)
    names = [str(item.PersonName) for item in items if item.ValueType == "PNAME"]
    assert names == ["Röntgen^Wilhelm"]


def test_other_text_person_or_time_is_another_document(signed):
    """Whatever changes the content changes the UID; the same act gives the same UID."""
    other = Verifier(name="Curie^Marie", organization="Klinikum Süd")
    documents = [
        signed(),
        signed(impression_text=("Normal.",)),
        signed(verifier=other),
        signed(verified_at=SIGNED_AT.replace(minute=41)),
    ]
    assert len({document.SOPInstanceUID for _, document in documents}) == 4
    assert signed()[1] == documents[0][1]


@pytest.mark.parametrize(("name", "organization"), [("", "X"), ("^", "X"), ("A^B", " ")])
def test_an_unnamed_person_cannot_verify(name, organization):
    """Name and organization are needed."""
    with pytest.raises(InvalidOutput, match="verifier"):
        Verifier(name=name, organization=organization)


def test_nothing_cannot_be_verified(signed):
    """A report without any text is refused."""
    with pytest.raises(InvalidOutput, match="without any text"):
        signed(findings_text=(" ",), impression_text=())


def test_another_image_is_refused(signed, image_header, make_draft):
    """The report is not filed under another image."""
    header = image_header()
    with pytest.raises(DatasetMismatch):
        signed(image_header(SOPInstanceUID="2.25.1"), draft=make_draft(header))


def test_the_exit_of_the_service_refuses_it(signed):
    """The final check of the service's own results refuses a verified report."""
    _, document = signed()
    with pytest.raises(InvalidOutput, match="PRELIMINARY"):
        encode(Output(kind="draft-report", dataset=as_file(document)))


def test_one_module_of_ours_imports_it():
    """Only a recorded decision of a person creates one; import-linter checks the same."""
    importing = [
        str(path)
        for package in ("dicom", "service", "workers")
        for path in (REPOSITORY / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module == "dicom.results.verified_sr")
        or (
            isinstance(node, ast.Import)
            and "dicom.results.verified_sr" in {n.name for n in node.names}
        )
    ]
    assert importing == [str(REPOSITORY / "workers" / "delivery" / "verified_report.py")]


def test_an_amended_report_names_the_one_that_it_replaces(signed):
    """The purpose is (121360, DCM, "Replaced report"), and the series and the text state it."""
    _, document = signed(purpose=REPLACED_REPORT, revision=2)
    series = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    purpose = series.ReferencedSOPSequence[0].PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121360", "DCM")
    assert document.SeriesDescription == "Radiology report (verified, amended)"
    assert faults(document) == ()


def test_a_name_in_several_scripts_verifies(signed):
    """64 characters are the limit of each component group, not of the whole name."""
    name = f"{'A' * 40}^Taro=山田^太郎=やまだ^たろう"
    _, document = signed(verifier=Verifier(name=name, organization="X"))
    assert str(document.VerifyingObserverSequence[0].VerifyingObserverName) == name
    with pytest.raises(InvalidOutput, match="longer than 64"):
        Verifier(name=f"{'A' * 65}=B", organization="X")


@pytest.mark.validators
@pytest.mark.dcmtk
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"verifier": Verifier(name="山田^太郎", organization="病院")},
        {"purpose": REPLACED_REPORT, "revision": 2},
    ],
    ids=["coded verifier", "verifier without a code", "amended"],
)
def test_validators_find_no_error(changes, signed, tmp_path, program):
    """Dciodvfy, dsrdump and our own validation report nothing."""
    _, document = signed(**changes)
    path = tmp_path / "verified.dcm"
    document.save_as(path)
    assert faults(dcmread(path)) == ()
    found = subprocess.run(
        [program("dciodvfy"), "-new", path], capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, "Error" in found.stderr) == (0, False), found.stderr
    found = subprocess.run(
        [program("dsrdump"), path],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
    )
    odd = [line for line in found.stderr.splitlines() if line.startswith(("W:", "E:"))]
    assert found.returncode == 0
    assert not [line for line in odd if "ISO_IR 192" not in line]
