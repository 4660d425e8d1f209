"""The draft report: its content, the order of it, and what it must never state."""

import dataclasses
import subprocess
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom.content.report import Finding, NotRead, Observation, Predecessor, Presence
from dicom.results.draft_sr import draft_report
from dicom.results.outputs import Output, as_file, encode


@pytest.fixture
def report(image_header, make_draft, equipment):
    """A function that returns the SR of a draft with changes."""

    def build(header=None, completion="PARTIAL", **changes):
        header = header or image_header()
        return draft_report(make_draft(header, **changes), header, equipment, completion)

    return build


def texts(document, content_items):
    """Return every sentence of the document in reading order, without the observer's context."""
    return [
        item.TextValue
        for item in content_items(document)
        if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"
    ]


def test_flags_state_preliminary_partial_unverified(report):
    """The document is PRELIMINARY, PARTIAL and UNVERIFIED, and names no verifier."""
    document = report()
    assert document.PreliminaryFlag == "PRELIMINARY"
    assert document.CompletionFlag == "PARTIAL"
    assert document.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in document


def test_completion_may_be_complete_where_a_pacs_hides_partial(report):
    """The completion flag follows the option; the other flags stay."""
    document = report(completion="COMPLETE")
    assert (document.CompletionFlag, document.VerificationFlag) == ("COMPLETE", "UNVERIFIED")


def test_first_sentence_states_that_it_is_an_unverified_ai_draft(report, content_items):
    """The first text a reader meets is the warning, with service, model, version and weights."""
    first = texts(report(), content_items)[0]
    assert first.startswith("UNVERIFIED AI DRAFT - NOT FOR PRIMARY DIAGNOSIS.")
    for part in ("Wetread 0.1.0", "CXR-LLaVA v2 2024-07", "abababababab", "revision 1"):
        assert part in first


def test_the_models_caveat_is_in_the_first_sentence(
    report, make_draft, image_header, content_items
):
    """The first text states if the model's text is meaningless."""
    model = make_draft(image_header()).model
    caveat = "weights are random: the text is meaningless"
    changed = type(model)(
        name=model.name, version=model.version, weights_sha256="", decoding="", caveat=caveat
    )
    first = texts(report(model=changed), content_items)[0]
    assert first.endswith("Weights are random: the text is meaningless.")


def test_a_models_mark_is_in_the_series_description(report, make_draft, image_header):
    """A demo model trained only on phantoms is recognized in a list of series."""
    model = dataclasses.replace(make_draft(image_header()).model, mark="SYNTHETIC DATA ONLY")
    described = report(model=model).SeriesDescription
    assert described.endswith("(rev 1) - SYNTHETIC DATA ONLY")
    assert len(described) <= 64
    assert "KNOWS" not in report().SeriesDescription


def test_only_positive_sentences_are_inferred_from_the_image(report, content_items):
    """Sentences that state a positive finding refer to the image; negative ones do not."""
    referring = {
        item.TextValue
        for item in content_items(report())
        if item.ValueType == "TEXT"
        and any(child.ValueType == "IMAGE" for child in item.get("ContentSequence", []))
    }
    assert referring == {
        "The heart is enlarged.",
        "There may be a consolidation in the left lower lobe.",
        "Fracture (right): present.",
    }


def test_a_positive_finding_without_a_sentence_gets_one(report, content_items):
    """A finding coded as present but absent from the text is reported."""
    assert "Fracture (right): present." in texts(report(), content_items)


def test_findings_that_the_draft_leaves_out_are_named(report, content_items):
    """A finding that is not mentioned is reported so, to avoid a reading as absent."""
    assert (
        "Not mentioned by this draft, neither present nor absent: "
        "atelectasis, edema, pleural effusion. Not mentioned does not mean absent."
    ) in texts(report(), content_items)


def test_what_the_model_was_asked_for_and_did_not_mention_is_named_too(report, content_items):
    """The text alone states what was not examined, as the page does."""
    found = (
        Finding(observation=Observation.CARDIOMEGALY, presence=Presence.PRESENT),
        Finding(observation=Observation.FRACTURE, presence=Presence.NOT_MENTIONED),
    )
    (sentence,) = [
        each for each in texts(report(findings=found), content_items) if "Not mentioned" in each
    ]
    assert "fracture" in sentence
    assert "cardiomegaly" not in sentence


@pytest.mark.parametrize("presence", [Presence.NOT_CODED, Presence.NOT_MENTIONED, None])
def test_a_text_that_is_not_coded_is_not_called_silent(report, content_items, presence):
    """If no finding is coded the report states that, not that the text does not mention them."""
    found = tuple(Finding(observation=each, presence=presence) for each in Observation if presence)
    sentences = texts(report(findings=found), content_items)
    assert "Findings are not coded for this draft: read the text." in sentences
    assert not any("not mentioned" in sentence.lower() for sentence in sentences)


def test_an_empty_draft_never_looks_normal(report, content_items):
    """A draft without findings states that nothing was described."""
    sentences = texts(report(findings_text=(), impression_text=(), findings=()), content_items)
    assert any("This is not a normal report" in sentence for sentence in sentences)


def test_impressions_are_numbered_and_end_with_the_warning(report, content_items):
    """Impressions are separate and numbered; the last sentence requests verification."""
    assert texts(report(), content_items)[-3:] == [
        "1. Cardiomegaly.",
        "2. Possible pneumonia.",
        "AI draft. Requires verification by a radiologist.",
    ]


def test_notes_and_images_not_read_are_reported_before_the_findings(report, content_items):
    """Notes for the reader and the reasons of unread images stand before the first finding."""
    sentences = texts(
        report(
            notes=("Text and scores disagree on edema",),
            not_read=(NotRead(sop_instance_uid="1.2.3", reason="it is a lateral view"),),
        ),
        content_items,
    )
    first_finding = sentences.index("The heart is enlarged.")
    before = sentences[:first_finding]
    assert "Note: Text and scores disagree on edema." in before
    assert "Another image of this study was not read: it is a lateral view." in before


@pytest.mark.parametrize(
    ("view", "expected"),
    [("PA", "posteroanterior (PA)"), ("AP", "anteroposterior (AP)"), ("", "does not state")],
)
def test_procedure_names_the_view_of_the_image(report, image_header, content_items, view, expected):
    """The procedure description names PA or AP when the image does, and states it when not."""
    sentences = texts(report(image_header(ViewPosition=view)), content_items)
    assert expected in sentences[1]


def test_indication_comes_from_the_order(report, image_header, content_items):
    """The reason for the request is repeated, and the order referenced."""
    order = Dataset()
    order.RequestedProcedureID = "RP1"
    order.ReasonForTheRequestedProcedure = "Cough, fever"
    document = report(image_header(RequestAttributesSequence=Sequence([order])))
    assert "Reason for the request: Cough, fever" in texts(document, content_items)
    request = document.ReferencedRequestSequence[0]
    assert (request.AccessionNumber, request.RequestedProcedureID) == ("ACC0001", "RP1")


def test_only_value_types_of_basic_text_occur(report, content_items):
    """There is no number and no coordinate in a Basic Text SR (PS3.3 A.35.1.3.2)."""
    allowed = {"TEXT", "CODE", "UIDREF", "IMAGE", "CONTAINER"}
    assert {item.ValueType for item in content_items(report())} <= allowed


def test_template_language_and_device_observer_are_there(report, content_items):
    """Template 2000, the language row and the observer with its UID are written."""
    document = report()
    template = document.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "2000")
    names = {item.ConceptNameCodeSequence[0].CodeValue: item for item in content_items(document)}
    assert names["121049"].ConceptCodeSequence[0].CodeValue == "en-US"
    assert names["121012"].UID == document.DeviceUID == "2.25.99"


def test_every_image_in_the_tree_is_in_the_evidence(report, content_items):
    """The evidence sequence lists exactly the images that the tree refers to."""
    document = report()
    used = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in content_items(document)
        if item.ValueType == "IMAGE"
    }
    study = document.CurrentRequestedProcedureEvidenceSequence[0]
    listed = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert used == {item.ReferencedSOPInstanceUID for item in listed}
    assert study.StudyInstanceUID == document.StudyInstanceUID


def test_a_new_revision_is_a_new_series_that_names_its_predecessor(report, image_header):
    """Revision 2 has its own UIDs and series, and refers to revision 1 as the preliminary report."""
    header = image_header()
    first = report(header)
    before = Predecessor(
        sop_instance_uid=first.SOPInstanceUID,
        sop_class_uid=first.SOPClassUID,
        series_instance_uid=first.SeriesInstanceUID,
    )
    second = report(header, revision=2, predecessor=before)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert (first.SeriesNumber, second.SeriesNumber) == (9001, 9002)
    study = second.PredecessorDocumentsSequence[0]
    reference = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121362"


@pytest.fixture
def machine_in(monkeypatch):
    """A function that sets this machine's time zone for the test."""

    def move(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_times_are_in_the_images_time_zone_when_it_has_one(report, image_header, machine_in):
    """The image's offset decides, in any time zone of this machine."""
    machine_in("America/New_York")
    document = report(image_header(TimezoneOffsetFromUTC="+0100"))
    assert (document.ContentTime, document.TimezoneOffsetFromUTC) == ("101530", "+0100")
    contribution = document.ContributingEquipmentSequence[0]
    assert contribution.ContributionDateTime == "20260304101530"


@pytest.mark.parametrize(
    ("month", "zone", "clock"),
    [
        (3, "Europe/Berlin", "20260304101530"),
        (7, "Europe/Berlin", "20260704111530"),
        (3, "Asia/Tokyo", "20260304181530"),
        (3, "Pacific/Honolulu", "20260303231530"),
        (3, "UTC", "20260304091530"),
    ],
)
def test_times_are_local_ones_of_this_machine_when_the_image_has_no_zone(
    report, machine_in, month, zone, clock
):
    """A moment in UTC is written as the clock on the wall, summer time included; no offset is added."""
    machine_in(zone)
    document = report(produced_at=datetime(2026, month, 4, 9, 15, 30, tzinfo=UTC))
    assert document.ContentDate + document.ContentTime == clock
    assert document.SeriesDate + document.SeriesTime == clock
    assert document.InstanceCreationDate + document.InstanceCreationTime == clock
    assert document.ContributingEquipmentSequence[0].ContributionDateTime == clock
    assert "TimezoneOffsetFromUTC" not in document


def test_a_time_without_a_zone_is_written_as_it_reads(report, machine_in):
    """No offset is known for a conversion."""
    machine_in("Asia/Tokyo")
    naive = datetime(2026, 3, 4, 9, 15, 30)  # noqa: DTZ001 - the case itself
    assert report(produced_at=naive).ContentTime == "091530"


def test_times_west_of_utc_may_be_of_the_day_before(report, image_header, make_draft):
    """The date follows the time zone too."""
    header = image_header(TimezoneOffsetFromUTC="-0930")
    moment = make_draft(header).produced_at.astimezone(timezone(timedelta(hours=2)))
    document = report(header, produced_at=moment)
    assert (document.ContentDate, document.ContentTime) == ("20260303", "234530")


def test_text_is_free_of_control_characters(report, content_items):
    """Line breaks and control characters of a model's text become blanks."""
    odd = "Line one.\r\nLine two.\x00\x1b$B end"
    sentences = texts(report(findings_text=(odd,), findings=()), content_items)
    assert "Line one. Line two. $B end" in sentences


def test_uncertain_findings_without_a_sentence_are_reported_as_uncertain(report, content_items):
    """The sentence of an unspoken finding gives state, place and score."""
    finding = Finding(observation=Observation.EDEMA, presence=Presence.UNCERTAIN, score=0.456)
    sentences = texts(report(findings=(finding,)), content_items)
    assert "Edema: uncertain; model score 46 %, not calibrated." in sentences


@pytest.mark.dcmtk
def test_dsr2html_shows_warning_text_and_flags(report, tmp_path, program):
    """DCMTK renders warning, text and flags as a person would read them."""
    path = tmp_path / "report.dcm"
    path.write_bytes(encode(Output(kind="draft-report", dataset=as_file(report()))))
    page = subprocess.run(
        [program("dsr2html"), "+U8", path], capture_output=True, text=True, check=True
    ).stdout
    for text in ("UNVERIFIED AI DRAFT", "The heart is enlarged.", "PRELIMINARY", "PARTIAL"):
        assert text in page
