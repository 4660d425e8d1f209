"""The notice that a study was not read: it states the reason, and never looks like a normal report."""

import hashlib
import subprocess
from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from dicom.errors import DatasetMismatch, InvalidDataset
from dicom.results.not_analysed import (
    UnreadImage,
    UnreadStudy,
    build_not_analysed,
    not_analysed_report,
)
from dicom.results.outputs import encode
from dicom.validation.result_object import faults


def image(number, reason="it is a lateral view"):
    """Return one image that was not read."""
    return UnreadImage(
        sop_instance_uid=f"2.25.7{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"2.25.8{number % 2}",
        reason=reason,
    )


TWO_IMAGES = (image(1), image(2, "The patient is a child"))


def unread(header, *, images=TWO_IMAGES, **changes):
    """Return a study that was not read."""
    values = {
        "study_instance_uid": str(header.StudyInstanceUID),
        "images": tuple(images),
        "reason": "No image of the study is a frontal chest radiograph",
        "revision": 1,
        "produced_at": datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC),
    }
    return UnreadStudy(**{**values, **changes})


@pytest.fixture
def notice(image_header, equipment):
    """A function that returns the SR of a study that was not read."""

    def make(header=None, **changes):
        header = header or image_header()
        return not_analysed_report(unread(header, **changes), header, equipment)

    return make


def sentences(document, content_items):
    """Return the visible text, in order."""
    return [
        item.TextValue
        for item in content_items(document)
        if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"
    ]


def test_the_first_sentence_states_that_there_is_no_result(notice, content_items):
    """The first sentence states that nothing was analyzed, by which software."""
    first, study, *_ = sentences(notice(), content_items)
    assert first.startswith("NOT ANALYZED - NO AI RESULT. Wetread 0.1.0 received")
    assert study.startswith("Study of 2026-03-04, accession number ACC0001, Study Instance UID ")


def test_study_and_each_image_have_their_reason(notice, content_items):
    """One sentence for the study, one for each image, each ending as a sentence does."""
    assert sentences(notice(), content_items)[2:5] == [
        "Why the study was not analyzed: No image of the study is a frontal chest radiograph.",
        "Image 1 of 2 was not read: It is a lateral view.",
        "Image 2 of 2 was not read: The patient is a child.",
    ]


def test_it_cannot_be_taken_for_a_normal_report(notice, content_items):
    """The last sentence states that this is no normal report, and no code states an absent finding."""
    document = notice()
    assert "This is not a normal report." in sentences(document, content_items)[-1]
    coded = {
        item.ConceptCodeSequence[0].CodeValue
        for item in content_items(document)
        if item.ValueType == "CODE"
    }
    assert coded == {"363679005", "en-US", "121007"}


def test_each_image_is_in_the_evidence_under_its_series(notice):
    """Images of two series are listed once each."""
    study = notice().CurrentRequestedProcedureEvidenceSequence[0]
    listed = {
        (series.SeriesInstanceUID, reference.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert listed == {("2.25.81", "2.25.71"), ("2.25.80", "2.25.72")}
    assert len(study.ReferencedSeriesSequence) == 2


def test_a_study_of_hundreds_of_images_stays_short(notice, content_items):
    """Forty images are named, the rest counted."""
    texts = sentences(notice(images=[image(n) for n in range(300)]), content_items)
    assert len(texts) == 2 + 1 + 40 + 1 + 1
    assert "260 more images of the study were not read either." in texts


def test_it_is_unverified_and_a_series_of_its_own(notice):
    """Flags and series state what it is; the most informative words come first."""
    document = notice(revision=3)
    assert (document.PreliminaryFlag, document.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert document.SeriesDescription.startswith("AI: NOT ANALYZED")
    assert document.SeriesNumber == 9603


def test_the_same_study_gives_the_same_bytes_and_another_reason_other_uids(image_header, equipment):
    """Equal arguments, equal files; another reason, image or revision is another object."""
    header = image_header()

    def built(**changes):
        return build_not_analysed(unread(header, **changes), header, equipment, page=True)

    def digest(outputs):
        return [hashlib.sha256(encode(output)).hexdigest() for output in outputs]

    assert digest(built()) == digest(built())
    others = [built(), built(reason="Too dark"), built(images=(image(1),)), built(revision=2)]
    assert len({outputs[0].dataset.SOPInstanceUID for outputs in others}) == 4
    assert len({outputs[1].dataset.SOPInstanceUID for outputs in others}) == 4


def test_the_page_is_made_by_option_only(image_header, equipment):
    """Without the option there is the document alone."""
    header = image_header()
    only = build_not_analysed(unread(header), header, equipment)
    assert [output.kind for output in only] == ["not-analysed"]
    _, page = build_not_analysed(unread(header), header, equipment, page=True)
    assert page.kind == "not-analysed-page"
    assert page.dataset.pixel_array.shape == (1754, 1240)
    assert page.dataset.BurnedInAnnotation == "YES"
    assert page.dataset.Modality == "OT"


def test_an_image_of_another_study_or_an_unwritable_patient_is_refused(image_header, equipment):
    """A notice is never filed under another study or patient."""
    header = image_header()
    with pytest.raises(DatasetMismatch):
        build_not_analysed(unread(header, study_instance_uid="2.25.5"), header, equipment)
    header = image_header(PatientID="P" * 65)
    with pytest.raises(InvalidDataset):
        build_not_analysed(unread(header), header, equipment)


ODD = [
    {},
    {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller-Lüdenscheidt^Jörg"},
    {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    {"StudyDate": None, "AccessionNumber": None, "PatientName": None, "BodyPartExamined": "HAND"},
]


@pytest.mark.validators
@pytest.mark.dcmtk
@pytest.mark.parametrize("attributes", ODD, ids=["plain", "umlauts", "japanese", "bare"])
@pytest.mark.parametrize("images", [(), TWO_IMAGES], ids=["no images", "two images"])
def test_validators_find_no_error(attributes, images, image_header, equipment, tmp_path, program):
    """Dciodvfy, dsrdump and our own validation report nothing."""
    header = image_header(**attributes)
    study = unread(header, images=images)
    for output in build_not_analysed(study, header, equipment, page=True):
        path = tmp_path / f"{output.kind}.dcm"
        path.write_bytes(encode(output))
        assert faults(dcmread(path), header) == ()
        found = subprocess.run(
            [program("dciodvfy"), "-new", path], capture_output=True, text=True, timeout=60
        )
        assert (found.returncode, "Error" in found.stderr) == (0, False), found.stderr
    found = subprocess.run(
        [program("dsrdump"), tmp_path / "not-analysed.dcm"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
    )
    odd = [line for line in found.stderr.splitlines() if line.startswith(("W:", "E:"))]
    assert found.returncode == 0
    assert not [line for line in odd if "ISO_IR 192" not in line]
