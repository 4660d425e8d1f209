"""The header of results: series, numbers, times, equipment, UIDs."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset

from dicom.content.output_kind import OutputKind
from dicom.content.result_header import (
    SOP_CLASSES,
    Equipment,
    in_image_time_zone,
    model_text,
    new_result,
    tracking_uid,
)
from dicom.errors import DatasetMismatch, InvalidIdentifier
from dicom.identifiers import follows_standard

AT = datetime(2026, 3, 4, 23, 15, 30, tzinfo=UTC)


@pytest.fixture
def result(image_header, make_draft, equipment):
    """A function that returns a result's header; keywords change draft and kind."""
    header = image_header(TimezoneOffsetFromUTC="+0100")

    def make(kind=OutputKind.DRAFT_REPORT, **changes):
        return new_result(make_draft(header, **changes), header, equipment, kind=kind)

    return make


def test_every_kind_has_a_class_a_series_and_an_instance(result):
    """The two images of one revision share a series; all other kinds have their own."""
    made = {kind: result(kind) for kind in OutputKind}
    assert set(SOP_CLASSES) == set(OutputKind)
    assert len({each.SOPInstanceUID for each in made.values()}) == len(made)
    assert all(follows_standard(each.SOPInstanceUID) for each in made.values())
    images = made[OutputKind.OVERLAY], made[OutputKind.REPORT_PAGE]
    assert images[0].SeriesInstanceUID == images[1].SeriesInstanceUID
    assert [each.InstanceNumber for each in images] == [1, 2]
    assert len({each.SeriesInstanceUID for each in made.values()}) == len(made) - 1
    assert all(len(each.SeriesDescription) <= 64 for each in made.values())


def test_a_revision_and_a_model_have_objects_of_their_own(result, make_draft, image_header):
    """The same draft gives the same."""
    model = make_draft(image_header()).model
    first = result()
    assert first == result()
    assert result(revision=2).SOPInstanceUID != first.SOPInstanceUID
    assert result(revision=2).SeriesNumber == 9002
    newer = result(model=replace(model, version="2"))
    assert newer.SOPInstanceUID != first.SOPInstanceUID


def test_times_are_those_of_the_image(result):
    """PS3.3 C.12.1.1.8: the offset of the image holds for the result."""
    made = result(produced_at=AT)
    assert (made.ContentDate, made.ContentTime) == ("20260305", "001530")
    (item,) = made.ContributingEquipmentSequence
    assert item.ContributionDateTime == "20260305001530"


@pytest.mark.parametrize(
    ("offset", "hour", "minute"), [("+0530", 4, 45), ("-0330", 19, 45), ("+0000", 23, 15)]
)
def test_offsets_have_hours_and_minutes(offset, hour, minute):
    """Also negative ones; a naive time is left alone."""
    header = Dataset()
    header.TimezoneOffsetFromUTC = offset
    found = in_image_time_zone(AT, header)
    assert (found.hour, found.minute, found) == (hour, minute, AT)
    naive = datetime(2026, 3, 4, 1)  # noqa: DTZ001 - as an image without offset has it
    assert in_image_time_zone(naive, header) == naive


def test_the_mark_of_a_model_is_in_the_series(result, make_draft, image_header):
    """Cut to what the attribute holds."""
    model = replace(make_draft(image_header()).model, mark="DEMO " * 20)
    description = result(model=model).SeriesDescription
    assert description.startswith("AI DRAFT report - NOT VERIFIED (rev 1) - DEMO")
    assert len(description) == 64


def test_equipment_needs_a_valid_uid():
    """Every object contains it."""
    with pytest.raises(InvalidIdentifier):
        Equipment(device_uid="not a uid")
    assert Equipment(device_uid="1.2", software_version="3").name_and_version == "Wetread 3"


def test_another_image_is_refused(make_draft, image_header, equipment):
    """Its patient would be copied."""
    draft = make_draft(image_header())
    with pytest.raises(DatasetMismatch, match="not the source image"):
        new_result(draft, image_header(StudyID="2"), equipment, kind=OutputKind.OVERLAY)


def test_model_and_tracking(make_draft, image_header, equipment):
    """The digest is shortened for people; each finding is tracked by a UID of its own."""
    draft = make_draft(image_header())
    assert model_text(draft) == "CXR-LLaVA v2 2024-07, weights abababababab"
    assert tracking_uid(draft, equipment, "edema") != tracking_uid(draft, equipment, "effusion")
