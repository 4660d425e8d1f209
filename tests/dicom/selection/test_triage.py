"""The classification of an image by its attributes alone: likely, possible or excluded."""

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom.selection.image_selection import Eligibility, Reason, triage
from tests.dicom.selection.headers import code, tags

OWN = {"SOPClassUID": SecondaryCaptureImageStorage, "ImageType": ["DERIVED", "SECONDARY", "", "AI"]}


@pytest.mark.parametrize(
    ("attributes", "eligibility", "reason"),
    [
        ({"BodyPartExamined": "CHEST", "ViewPosition": "PA"}, "LIKELY", None),
        ({"BodyPartExamined": "THORAX", "ViewPosition": "AP"}, "LIKELY", None),
        ({"BodyPartExamined": "TÓRAX", "ViewPosition": "PA"}, "LIKELY", None),
        ({"SeriesDescription": "Thorax p.a. stehend"}, "LIKELY", None),
        ({"SeriesDescription": "W Chest PA"}, "LIKELY", None),
        ({"SeriesDescription": "胸部 正面"}, "LIKELY", None),
        ({"AnatomicRegionSequence": code("51185008"), "ViewPosition": "AP"}, "LIKELY", None),
        ({"BodyPartExamined": "CHEST", "ViewCodeSequence": code("272479007")}, "LIKELY", None),
        ({"BodyPartExamined": "CHEST", "PatientOrientation": ["L", "F"]}, "LIKELY", None),
        ({}, "POSSIBLE", None),
        ({"BodyPartExamined": "CHEST"}, "POSSIBLE", None),
        ({"BodyPartExamined": "UNKNOWN", "ViewPosition": ""}, "POSSIBLE", None),
        ({"BodyPartExamined": "RIBCAGE"}, "POSSIBLE", None),
        (
            {"BodyPartExamined": "CHEST", "SeriesDescription": "Chest PA and lateral"},
            "POSSIBLE",
            None,
        ),
        ({"BodyPartExamined": "ABDOMEN", "SeriesDescription": "CHEST PA"}, "POSSIBLE", None),
        (
            {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PatientOrientation": ["A", "F"]},
            "POSSIBLE",
            None,
        ),
        ({"BodyPartExamined": "HIP"}, "EXCLUDED", "NOT_CHEST"),
        ({"BodyPartExamined": "TSPINE"}, "EXCLUDED", "NOT_CHEST"),
        ({"SeriesDescription": "Thoracic spine AP"}, "EXCLUDED", "NOT_CHEST"),
        ({"SeriesDescription": "KNIE LINKS"}, "EXCLUDED", "NOT_CHEST"),
        ({"BodyPartExamined": "CHEST", "ViewPosition": "LL"}, "EXCLUDED", "NOT_FRONTAL"),
        ({"BodyPartExamined": "CHEST", "ViewPosition": "LATERAL"}, "EXCLUDED", "NOT_FRONTAL"),
        ({"BodyPartExamined": "CHEST", "ViewPosition": "LLD"}, "EXCLUDED", "NOT_FRONTAL"),
        ({"SeriesDescription": "Chest AP lordotic"}, "EXCLUDED", "NOT_FRONTAL"),
        ({"SeriesDescription": "Thorax seitlich"}, "EXCLUDED", "NOT_FRONTAL"),
        (
            {"BodyPartExamined": "CHEST", "PatientOrientation": ["P", "F"]},
            "EXCLUDED",
            "NOT_FRONTAL",
        ),
        (
            {"BodyPartExamined": "CHEST", "ViewCodeSequence": code("399173006")},
            "EXCLUDED",
            "NOT_FRONTAL",
        ),
        ({"SOPClassUID": CTImageStorage, "Modality": "CT"}, "EXCLUDED", "NOT_RADIOGRAPH"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "EXCLUDED", "NOT_RADIOGRAPH"),
        (
            {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "US"},
            "EXCLUDED",
            "NOT_RADIOGRAPH",
        ),
        ({"PatientSpeciesDescription": "Canis lupus familiaris"}, "EXCLUDED", "NOT_HUMAN"),
        ({"PatientSpeciesDescription": "Homo sapiens"}, "POSSIBLE", None),
        (OWN | {"Modality": "OT"}, "EXCLUDED", "OWN_RESULT"),
        (OWN | {"Modality": "DX"}, "EXCLUDED", "OWN_RESULT"),
        (
            OWN | {"Modality": "OT", "ImageType": ["DERIVED", "SECONDARY", "AI"]},
            "EXCLUDED",
            "OWN_RESULT",
        ),
        (OWN | {"Modality": "DX", "ImageType": ["DERIVED", "SECONDARY", "AI"]}, "POSSIBLE", None),
        ({"ImageType": ["DERIVED", "SECONDARY", "", "AI"]}, "POSSIBLE", None),
        ({"ImageType": ["DERIVED", "SECONDARY", "AI", "NOISE"]}, "POSSIBLE", None),
        ({"ImageType": ["DERIVED", "PRIMARY", "", "AI"]}, "POSSIBLE", None),
        ({"Manufacturer": "Wetread"}, "EXCLUDED", "OWN_RESULT"),
    ],
)
def test_triage_by_tags(attributes, eligibility, reason):
    """Stated frontal chests are likely, unstated ones possible, others excluded."""
    found = triage(tags(**attributes))
    assert (found.eligibility.value, found.reason and found.reason.value) == (eligibility, reason)
    assert bool(found.sentence) == (found.eligibility is Eligibility.EXCLUDED)


def test_an_object_without_a_picture_is_excluded():
    """A structured report has no pixels to read."""
    header = Dataset()
    header.SOPClassUID, header.Modality = "1.2.840.10008.5.1.4.1.1.88.11", "SR"
    assert triage(header).reason is Reason.NO_IMAGE


def test_a_converted_image_with_a_wrong_modality_is_left_to_the_picture():
    """Secondary Capture with Modality CT and body part CHEST is possible, a note gives the reason."""
    found = triage(
        tags(SOPClassUID=SecondaryCaptureImageStorage, Modality="CT", BodyPartExamined="CHEST")
    )
    assert found.eligibility is Eligibility.POSSIBLE
    assert "Modality CT" in found.notes[0]


def test_a_computed_radiograph_is_a_radiograph_whatever_modality_states():
    """The SOP Class decides where it is specific."""
    header = tags(SOPClassUID=ComputedRadiographyImageStorage, Modality="CT")
    assert triage(header).eligibility is Eligibility.POSSIBLE
