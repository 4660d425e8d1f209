"""Attributes as they are written, well or badly."""

import pytest
from pydicom.dataset import Dataset

from dicom.attributes import is_for_processing, items, searchable_text, tag_of, value_of


def header(**values):
    """Return a header."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_a_value_or_none():
    """An absent attribute is None, an empty one has its empty value."""
    assert value_of(header(PatientID="1"), "PatientID") == "1"
    assert value_of(header(PatientID=""), "PatientID") == ""
    assert value_of(header(), "PatientID") is None
    assert tag_of("PatientID") == 0x00100020


def test_text_is_compared_without_case_accents_and_separators():
    """One string for terms that devices write in many ways; several values are joined."""
    given = header(SeriesDescription="Thorax_p.a.", ProtocolName="Poumons, débout/face")
    assert searchable_text(given, "SeriesDescription", "ProtocolName", "StudyID") == (
        "THORAX P A POUMONS DEBOUT FACE"
    )
    assert searchable_text(header(ImageType=["ORIGINAL", "PRIMARY"]), "ImageType") == (
        "ORIGINAL PRIMARY"
    )


def test_items_of_a_sequence_or_none():
    """Where there is no sequence there are no items."""
    one = header(PatientID="1")
    assert items(header(ViewCodeSequence=[one]), "ViewCodeSequence") == [one]
    assert items(header(), "ViewCodeSequence") == []
    assert items(header(PatientID="1"), "PatientID") == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, True),
        ({"PresentationIntentType": "for  processing"}, True),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, True),
        ({"PresentationIntentType": "FOR PRESENTATION"}, False),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}, False),
        ({}, False),
    ],
)
def test_raw_detector_data(values, expected):
    """By Presentation Intent Type or by the SOP Class (PS3.4 B.5)."""
    assert is_for_processing(header(**values)) is expected
