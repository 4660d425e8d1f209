"""The Store Instances Response Module, the response to a STOW-RS request (PS3.18 annex I)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pydicom.dataset import Dataset

JSON = "application/dicom+json"
XML = "application/dicom+xml"
_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result for one part of a request.

    Attributes:
        sop_class_uid: A valid UID, or "" if unknown.
        sop_instance_uid: A valid UID, or "" if unknown.
        failure_reason: 0 if the Instance is stored, else a value of PS3.18 table I.2-2.
        transient: Whether sending the same part again later may succeed.
    """

    sop_class_uid: str
    sop_instance_uid: str
    failure_reason: int = 0
    transient: bool = False


def make_response(outcomes: Sequence[Outcome]) -> Dataset:
    """Return the response; Retrieve URLs are empty (type 2), because nothing can be retrieved here."""
    response = Dataset()
    response.RetrieveURL = ""
    stored = [_item(each) for each in outcomes if not each.failure_reason]
    failed = [each for each in outcomes if each.failure_reason]
    named = [_item(each) for each in failed if each.sop_instance_uid]
    others = [_item(each) for each in failed if not each.sop_instance_uid]
    if stored:
        response.ReferencedSOPSequence = stored
    if named:
        response.FailedSOPSequence = named
    if others:
        response.OtherFailuresSequence = others
    return response


def _item(outcome: Outcome) -> Dataset:
    item = Dataset()
    if outcome.sop_instance_uid:
        item.ReferencedSOPClassUID = outcome.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.sop_instance_uid
    if outcome.failure_reason:
        item.FailureReason = outcome.failure_reason
    else:
        item.RetrieveURL = ""
    return item


def encode(response: Dataset, media_type: str) -> bytes:
    """Return the response encoded as `JSON` (PS3.18 annex F) or `XML` (PS3.19 A.1)."""
    if media_type == XML:
        model = f'<NativeDicomModel xmlns="{_NAMESPACE}" xml:space="preserve">'
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return f"{head}{model}{_attributes(response)}</NativeDicomModel>\n".encode()
    return json.dumps(response.to_json_dict()).encode()


def _attributes(dataset: Dataset) -> str:
    parts = []
    for element in dataset:
        if element.VR == "SQ":
            values = "".join(
                f'<Item number="{number}">{_attributes(item)}</Item>'
                for number, item in enumerate(element.value, 1)
            )
        else:
            text = "" if element.is_empty else escape(str(element.value))
            values = f'<Value number="1">{text}</Value>' if text else ""
        head = f'tag="{int(element.tag):08X}" vr="{element.VR}" keyword="{element.keyword}"'
        parts.append(f"<DicomAttribute {head}>{values}</DicomAttribute>")
    return "".join(parts)
