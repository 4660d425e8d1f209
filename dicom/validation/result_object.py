"""Validate a result object (SR, SC, presentation state, PDF) before it leaves, in milliseconds.

No single external validator covers these rules: dciodvfy does not check templates, none detects a wrong
code, and a crash shows only in the viewer. `faults` returns all faults of an object, ours or another
vendor's; `check` raises an error and is called for each of our own results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VM
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from dicom.content.patient_study import value_of
from dicom.errors import InvalidIdentifier, InvalidOutput
from dicom.identifiers import check_uid, follows_standard
from dicom.validation import content_tree
from dicom.validation.codes import Pair, unreviewed
from dicom.validation.source_image import filing_faults

_SR_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.88.11": "Basic Text SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "Enhanced SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "Comprehensive SR",
    "1.2.840.10008.5.1.4.1.1.88.34": "Comprehensive 3D SR",
}
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
_ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"

# Type 1 and type 2 of Patient, Study, Series, Equipment and SOP Common.
_TYPE_1: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TYPE_2: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "Manufacturer",
)
# PS3.3 C.17.1, C.17.2, C.17.3.
_SR_TYPE_1: Final = (
    "Modality",
    "SeriesNumber",
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "CompletionFlag",
    "VerificationFlag",
    "ValueType",
    "ConceptNameCodeSequence",
    "ContinuityOfContent",
)
_SR_TYPE_2: Final = ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence")
# PS3.3 C.7.6.1, C.7.6.3, C.8.6.1.
_SC_TYPE_1: Final = (
    "ConversionType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
# PS3.3 C.11.9, C.11.10, C.10.4 and C.24.1, C.24.2.
_PR_TYPE_1: Final = (
    "Modality",
    "InstanceNumber",
    "ContentLabel",
    "PresentationCreationDate",
    "PresentationCreationTime",
    "ReferencedSeriesSequence",
    "DisplayedAreaSelectionSequence",
    "PresentationLUTShape",
)
_PDF_TYPE_1: Final = (
    "Modality",
    "InstanceNumber",
    "ConversionType",
    "BurnedInAnnotation",
    "MIMETypeOfEncapsulatedDocument",
    "EncapsulatedDocument",
)
_PDF_TYPE_2: Final = (
    "SeriesNumber",
    "ContentDate",
    "ContentTime",
    "AcquisitionDateTime",
    "DocumentTitle",
    "ConceptNameCodeSequence",
)
_SC_TYPE_2: Final = ("SeriesNumber", "InstanceNumber", "PatientOrientation")
_ENUMERATED: Final = {
    "PatientSex": {"M", "F", "O"},
    "CompletionFlag": {"PARTIAL", "COMPLETE"},
    "VerificationFlag": {"UNVERIFIED", "VERIFIED"},
    "PreliminaryFlag": {"PRELIMINARY", "FINAL"},
    "ContinuityOfContent": {"SEPARATE", "CONTINUOUS"},
    "ConversionType": {"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"},
    "BurnedInAnnotation": {"YES", "NO"},
    "RecognizableVisualFeatures": {"YES", "NO"},
    "LossyImageCompression": {"00", "01"},
}
_LENGTHS: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
# We make these UIDs; leading zeros, which are accepted in UIDs of others, are faults here.
_OWN_UIDS: Final = ("SOPInstanceUID", "SeriesInstanceUID", "DeviceUID")


@dataclass(frozen=True, slots=True)
class ValidationFault:
    """One rule that an object breaks.

    Attributes:
        rule: A short name of the rule, for counting.
        reason: One sentence for a person; it names attributes but never a patient's values.
    """

    rule: str
    reason: str


class ValidationFailed(InvalidOutput):
    """A result of ours breaks rules; it is kept for inspection and is not sent.

    Attributes:
        dataset: The result.
        faults: Every fault found.
    """

    def __init__(self, dataset: Dataset, found: tuple[ValidationFault, ...]) -> None:
        reasons = "; ".join(fault.reason for fault in found[:5])
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        super().__init__(f"the result breaks {len(found)} rule(s): {reasons}{more}")
        self.dataset = dataset
        self.faults = found


def check(dataset: Dataset, source: Dataset | None = None) -> None:
    """Check that `dataset`, a result of ours, breaks no rule and has reviewed codes only.

    Args:
        dataset: The result.
        source: Header of the image that it is about, if available (see `faults`).

    Raises:
        ValidationFailed: It has at least one fault; the message names the first five.
    """
    found = faults(dataset, source) + tuple(ValidationFault(*pair) for pair in unreviewed(dataset))
    if found:
        raise ValidationFailed(dataset, found)


def faults(dataset: Dataset, source: Dataset | None = None) -> tuple[ValidationFault, ...]:
    """Return every fault of a result object (SR, SC, presentation state, PDF); empty if it is valid.

    Args:
        dataset: The object, ours or another vendor's.
        source: Header of the image that it is about, if available; patient, study and matrix are
            compared.
    """
    pairs = list(_header_faults(dataset))
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class in _SR_CLASSES:
        pairs += _document_faults(dataset)
        pairs += content_tree.tree_faults(dataset, _SR_CLASSES[sop_class], _matrix(source))
    elif sop_class == _SECONDARY_CAPTURE:
        pairs += _image_faults(dataset)
    elif sop_class == _PRESENTATION_STATE:
        pairs += _presentation_faults(dataset, _matrix(source))
    elif sop_class == _ENCAPSULATED_PDF:
        pairs += _pdf_faults(dataset)
    else:
        pairs.append(("sop-class", "the SOP Class has no validation rules"))
    if source is not None:
        pairs += _source_faults(dataset, source)
    return tuple(ValidationFault(rule, reason) for rule, reason in pairs)


def _header_faults(dataset: Dataset) -> Iterator[Pair]:
    yield from _missing(dataset, _TYPE_1, _TYPE_2)
    for keyword, allowed in _ENUMERATED.items():
        value = dataset.get(keyword)
        if value and value not in allowed:
            yield "enumerated", f"{keyword} is not one of {', '.join(sorted(allowed))}"
    yield from _value_faults(dataset)
    for keyword in _OWN_UIDS:
        value = str(dataset.get(keyword) or "")
        if value and not follows_standard(value):
            yield "uid", f"{keyword} is not a valid UID"


def _missing(dataset: Dataset, type_1: tuple[str, ...], type_2: tuple[str, ...]) -> Iterator[Pair]:
    for keyword in type_1:
        value = dataset.get(keyword)
        if value is None or value == "" or (keyword.endswith("Sequence") and not len(value)):
            yield "type-1", f"{keyword} is missing or empty (type 1)"
    for keyword in type_2:
        if keyword not in dataset:
            yield "type-2", f"{keyword} is missing (type 2)"


def _value_faults(dataset: Dataset) -> Iterator[Pair]:
    """Yield a fault for each value of wrong length, multiplicity, UID or character set, at any depth."""
    utf8 = str(dataset.get("SpecificCharacterSet", "")) == "ISO_IR 192"
    for element in dataset.iterall():
        if element.VR in ("SQ", "OB", "OW", "FL", "US") or element.value is None:
            continue
        parts = list(element.value) if isinstance(element.value, MultiValue) else [element.value]
        if len(parts) > 1 and _is_single(element.tag):
            yield "multiplicity", f"{element.keyword} has {len(parts)} values, it may have one"
        for part in parts:
            yield from _part_faults(element.keyword, element.VR, part, utf8=utf8)


def _is_single(tag: BaseTag) -> bool:
    return dictionary_has_tag(tag) and dictionary_VM(tag) == "1"


def _part_faults(keyword: str, vr: str, part: Any, *, utf8: bool) -> Iterator[Pair]:  # noqa: ANN401 - a value of any VR
    text = str(part)
    if len(text) > _LENGTHS.get(vr, len(text)):
        yield "length", f"{keyword} is longer than {_LENGTHS[vr]} characters"
    if vr == "PN" and any(len(group) > 64 for group in text.split("=")):
        yield "length", f"{keyword} has a component group longer than 64 characters"
    if vr == "UI" and text:
        try:
            check_uid(text, keyword)
        except InvalidIdentifier:
            yield "uid", f"{keyword} is not a valid UID"
    if not utf8 and not text.isascii() and vr not in ("OB", "OW", "UN"):
        yield "character-set", f"{keyword} has letters beyond the declared character set"


def _document_faults(dataset: Dataset) -> Iterator[Pair]:
    yield from _missing(dataset, _SR_TYPE_1, _SR_TYPE_2)
    if dataset.get("Modality") != "SR":
        yield "modality", "Modality of a document is SR"
    if dataset.get("VerificationFlag") == "VERIFIED":
        if not dataset.get("VerifyingObserverSequence"):
            yield "flags", "VERIFIED without a Verifying Observer"
        if dataset.get("CompletionFlag") != "COMPLETE":
            yield "flags", "VERIFIED and not COMPLETE"
    elif dataset.get("PreliminaryFlag") == "FINAL":
        yield "flags", "FINAL and UNVERIFIED"


def _image_faults(dataset: Dataset) -> Iterator[Pair]:
    yield from _missing(dataset, _SC_TYPE_1, _SC_TYPE_2)
    samples = dataset.get("SamplesPerPixel")
    if samples == 3 and "PlanarConfiguration" not in dataset:
        yield "pixels", "PlanarConfiguration is missing in a color image"
    try:
        size = int(dataset.Rows) * int(dataset.Columns) * int(samples or 0)
        length = len(dataset.PixelData)
    except (AttributeError, TypeError, ValueError):
        return
    native = dataset.get("BitsAllocated") == 8 and not _is_compressed(dataset)
    if native and length != size + size % 2:
        yield "pixels", "the length of PixelData does not match rows, columns and samples"


def _presentation_faults(dataset: Dataset, matrix: tuple[int, int] | None) -> Iterator[Pair]:
    yield from _missing(dataset, _PR_TYPE_1, ("ContentDescription", "ContentCreatorName"))
    layers = {str(item.get("GraphicLayer")) for item in dataset.get("GraphicLayerSequence", [])}
    for annotation in dataset.get("GraphicAnnotationSequence", []):
        if str(annotation.get("GraphicLayer")) not in layers:
            yield "layer", "an annotation references a Graphic Layer that does not exist"
        for item in annotation.get("GraphicObjectSequence", []):
            yield from content_tree.point_faults(item, matrix)


def _pdf_faults(dataset: Dataset) -> Iterator[Pair]:
    yield from _missing(dataset, _PDF_TYPE_1, _PDF_TYPE_2)
    if not bytes(dataset.get("EncapsulatedDocument") or b"").startswith(b"%PDF-"):
        yield "document", "EncapsulatedDocument is not a PDF"
    if dataset.get("VerificationFlag") == "VERIFIED":
        yield "flags", "a document without a verifying observer is VERIFIED"


def _is_compressed(dataset: Dataset) -> bool:
    meta = getattr(dataset, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    return bool(syntax is not None and syntax.is_compressed)


def _source_faults(dataset: Dataset, source: Dataset) -> Iterator[Pair]:
    yield from filing_faults(dataset, source)
    if str(dataset.get("PatientName") or "") != str(value_of(source, "PatientName") or ""):
        yield "source", "PatientName is not that of the image"


def _matrix(source: Dataset | None) -> tuple[int, int] | None:
    """Return (rows, columns) of the image, or None if they are not known."""
    if source is None or not source.get("Rows") or not source.get("Columns"):
        return None
    return int(source.Rows), int(source.Columns)
