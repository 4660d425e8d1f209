"""The Store Instances Response, read back by pydicom and by an XML parser."""

import json
from xml.etree import ElementTree

from pydicom.dataset import Dataset

from dicom.dicomweb.store_response import JSON, XML, Outcome, encode, make_response

CR = "1.2.840.10008.5.1.4.1.1.1"
OUTCOMES = [
    Outcome(sop_class_uid=CR, sop_instance_uid="1.2.3"),
    Outcome(sop_class_uid=CR, sop_instance_uid="1.2.4", failure_reason=0xA700, transient=True),
    Outcome(sop_class_uid="", sop_instance_uid="", failure_reason=0xC000),
]


def test_json_states_what_was_stored_what_not_and_why():
    """Retrieve URLs are there and empty (type 2); a failure without UIDs is an Other Failure."""
    answer = Dataset.from_json(json.loads(encode(make_response(OUTCOMES), JSON)))
    assert answer["RetrieveURL"].is_empty
    (stored,) = answer.ReferencedSOPSequence
    assert (stored.ReferencedSOPClassUID, stored.ReferencedSOPInstanceUID) == (CR, "1.2.3")
    assert stored["RetrieveURL"].is_empty
    assert "FailureReason" not in stored
    (failed,) = answer.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.4", 0xA700)
    (other,) = answer.OtherFailuresSequence
    assert [element.keyword for element in other] == ["FailureReason"]


def test_sequences_without_items_are_absent():
    """Each is required only if it has items (PS3.18 table I.1-1)."""
    assert [element.keyword for element in make_response(OUTCOMES[:1])] == [
        "RetrieveURL",
        "ReferencedSOPSequence",
    ]


def test_xml_states_the_same():
    """The Native DICOM Model, every value under its keyword."""
    root = ElementTree.fromstring(encode(make_response(OUTCOMES), XML))  # noqa: S314 - our own
    space = {"n": "http://dicom.nema.org/PS3.19/models/NativeDICOM"}

    def values(sequence: str, keyword: str) -> list[str]:
        path = (
            f"n:DicomAttribute[@keyword='{sequence}']/n:Item/n:DicomAttribute[@keyword='{keyword}']"
        )
        return [value.text for value in root.findall(f"{path}/n:Value", space)]

    assert values("ReferencedSOPSequence", "ReferencedSOPInstanceUID") == ["1.2.3"]
    assert values("FailedSOPSequence", "FailureReason") == [str(0xA700)]
    assert values("OtherFailuresSequence", "FailureReason") == [str(0xC000)]
    assert values("ReferencedSOPSequence", "RetrieveURL") == []
