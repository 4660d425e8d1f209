"""Copy the Patient and Study modules of an image into a result: valid values verbatim, none invented.

Patient and study attributes decide where a PACS files a result. Values are therefore copied unchanged,
decoded from the image's declared character set. A value that violates its VR (PS3.5 6.2) is treated by
its purpose. A description is cut to its maximum length. An identifier is copied exactly or left empty
(`dicom.exact_text`). A name is copied, and a note states if the copy differs
(`dicom.selection.copy_notes`). A Patient ID that cannot be copied exactly raises an error, because the
result would be filed under another patient.
"""

import re
from datetime import datetime
from typing import Any, Final

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.errors import InvalidDataset, InvalidIdentifier, MissingAttribute
from dicom.exact_text import IDENTIFIERS, LENGTHS, Inexact, reading, readings
from dicom.identifiers import check_uid

# Type 2: present in every result, empty if the image has no value (PS3.3 C.7.1.1, C.7.2.1).
_ALWAYS: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
# Type 3: present if the image has a value.
_WHEN_GIVEN: Final = (
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthTime",
    "QualityControlSubject",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "IssuerOfAccessionNumberSequence",
    "ProcedureCodeSequence",
)
# An item without these attributes is not copied (type 1 in its macro).
_ITEM_NEEDS: Final = {
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    "DeidentificationMethodCodeSequence": ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
    "ProcedureCodeSequence": ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
    "RequestedProcedureCodeSequence": ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
}
# A changed value would be another identifier: these are copied exactly or left out.
_EXACT: Final = IDENTIFIERS | {"CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion"}
# An item of these is copied without its inexact identifiers; an item of others is left out whole.
_DIVISIBLE: Final = frozenset({"RequestAttributesSequence"})
_ENUMERATED: Final = {
    "PatientSex": {"M", "F", "O"},
    "TypeOfPatientID": {"TEXT", "RFID", "BARCODE"},
    "PatientIdentityRemoved": {"YES", "NO"},
    "QualityControlSubject": {"YES", "NO"},
}
_MANY: Final = frozenset({"OtherPatientIDs", "OtherPatientNames", "DeidentificationMethod"})

_MAX_ITEMS: Final = 32
_MAX_DEPTH: Final = 3
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_AGE: Final = re.compile(r"\d{3}[DWMY]", re.ASCII)
_CODE_STRING: Final = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)
_OFFSET: Final = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?\d{0,9}(?:\.\d{0,9})?", re.ASCII)
# pydicom converts a value on first access and raises one of these if it is malformed.
_BAD_VALUE: Final = (ValueError, TypeError, KeyError, AttributeError, NotImplementedError)


def copied_modules(source: Dataset) -> Dataset:
    """Return the valid Patient, General Study and Patient Study attributes of `source`.

    Args:
        source: Header of the image, in any character set.

    Returns:
        A data set of str values that are valid in ISO_IR 192, with every type 2 attribute.

    Raises:
        MissingAttribute: `source` has no Study Instance UID.
        InvalidIdentifier: Its Study Instance UID is not a valid UID.
        InvalidDataset: Its Patient ID cannot be copied exactly.
    """
    check_patient_id(source)
    result = Dataset()
    result.StudyInstanceUID = _study_uid(source)
    for keyword in _ALWAYS:
        setattr(result, keyword, value_of(source, keyword) or "")
    for keyword in _WHEN_GIVEN:
        value = value_of(source, keyword)
        if value:
            setattr(result, keyword, value)
    _complete_deidentification(result)
    offset = value_of(source, "TimezoneOffsetFromUTC")
    if offset and _OFFSET.fullmatch(offset):
        result.TimezoneOffsetFromUTC = offset
    return result


def value_of(source: Dataset, keyword: str) -> Any:  # noqa: ANN401 - str, list of str or Sequence
    """Return the valid value of `keyword` in `source`, or None if there is none.

    A value that violates its VR is cut if it is a description and dropped if it is an identifier.
    A sequence is returned as a list of data sets, an attribute with VM 1-n as a list of str.
    """
    return _value(source, keyword, depth=0)


def check_patient_id(source: Dataset) -> None:
    """Check that results can have exactly the Patient ID of `source`.

    Raises:
        InvalidDataset: They cannot; the message states the reason and the remedy.
    """
    fault = reading(source, "PatientID").fault
    if fault is not None:
        raise InvalidDataset(
            f"The Patient ID (0010,0020) of the image cannot be copied exactly: {fault}. Results with "
            "a changed one would be filed under another patient, so none are made. Correct the Patient "
            "ID and send the image again, with a new SOP Instance UID."
        )


def overlong(source: Dataset, keyword: str) -> str | None:
    """Return an identifier that is longer than its VR allows, cut to 256 characters, or None."""
    if reading(source, keyword).fault is Inexact.TOO_LONG:
        return _text(_raw(source, keyword))[:256]
    return None


def clean_text(text: str, length: int | None = None) -> str:
    """Return `text` on one line without control characters, at most `length` characters long."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    # A lone surrogate cannot be encoded in UTF-8.
    line = line.encode("utf-8", "replace").decode("utf-8")
    return line if length is None else line[:length].rstrip()


def lo(text: str) -> str:
    """Return `text` as a value of VR LO: 64 characters, no backslash."""
    return clean_text(text.replace("\\", "/"), 64)


def _study_uid(source: Dataset) -> str:
    text = _text(_raw(source, "StudyInstanceUID"))
    if not text:
        raise MissingAttribute("the image has no Study Instance UID")
    return check_uid(text, "Study Instance UID")


def _complete_deidentification(result: Dataset) -> None:
    """Remove Patient Identity Removed if the method, type 1C, is missing (PS3.3 C.7.1.1)."""
    method = "DeidentificationMethod" in result or "DeidentificationMethodCodeSequence" in result
    if result.get("PatientIdentityRemoved") == "YES" and not method:
        del result.PatientIdentityRemoved


def _raw(source: Dataset, keyword: str) -> Any:  # noqa: ANN401 - whatever the image holds
    try:
        return source.get(keyword)
    except _BAD_VALUE:
        return None


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the image holds
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(part) for part in value)
    return str(value).strip(" \0")


def _value(source: Dataset, keyword: str, *, depth: int) -> Any:  # noqa: ANN401 - see value_of
    raw = _raw(source, keyword)
    if raw is None:
        return None
    if dictionary_VR(keyword) == "SQ":
        return _items(raw, keyword, depth=depth)
    if keyword in _EXACT:
        return _identifier(source, keyword)
    if keyword in _MANY:
        parts = raw if isinstance(raw, MultiValue | list | tuple) else [raw]
        kept = [_single(keyword, _text(part)) for part in parts[:_MAX_ITEMS]]
        return [part for part in kept if part] or None
    return _single(keyword, _text(raw))


def _identifier(source: Dataset, keyword: str) -> str | list[str] | None:
    if keyword not in _MANY:
        return reading(source, keyword).text or None
    found = list(readings(source, keyword))[:_MAX_ITEMS]
    return [each.text for each in found if each.text] or None


def _datasets(raw: Any) -> list[Dataset]:  # noqa: ANN401 - untrusted
    if not hasattr(raw, "__iter__") or isinstance(raw, str | bytes):
        return []
    return [item for item in list(raw)[:_MAX_ITEMS] if isinstance(item, Dataset)]


def _items(raw: Any, keyword: str, *, depth: int) -> list[Dataset] | None:  # noqa: ANN401 - untrusted
    if depth >= _MAX_DEPTH:
        return None
    whole = [item for item in _datasets(raw) if keyword in _DIVISIBLE or not _has_inexact(item)]
    copies = [_item(item, depth) for item in whole]
    needed = _ITEM_NEEDS.get(keyword, ())
    return [item for item in copies if len(item) and all(item.get(n) for n in needed)] or None


def _has_inexact(item: Dataset) -> bool:
    return any(reading(item, keyword).fault is not None for keyword in _EXACT)


def _item(item: Dataset, depth: int) -> Dataset:
    copy = Dataset()
    for tag in list(item.keys())[:_MAX_ITEMS]:
        keyword = keyword_for_tag(tag)
        value = _value(item, keyword, depth=depth + 1) if keyword else None
        if value:
            setattr(copy, keyword, value)
    return copy


def _single(keyword: str, text: str) -> str | None:
    vr = dictionary_VR(keyword)
    if vr == "PN":
        return _person_name(text)
    if vr in LENGTHS:
        return clean_text(text.replace("\\", "/"), LENGTHS[vr]) or None
    reader = _READERS.get(vr)
    value = reader(text) if reader else None
    allowed = _ENUMERATED.get(keyword)
    return value if allowed is None or value in allowed else None


def _person_name(text: str) -> str | None:
    """Return a PN of at most three component groups of 64 characters and five components (PS3.5 6.2.1).

    A valid name is returned unchanged.
    """
    groups = text.split("=")
    fits = len(groups) <= 3 and all(len(g) <= 64 and g.count("^") <= 4 for g in groups)
    if fits and "\\" not in text and not _CONTROL.search(text) and _encodable(text):
        return text or None
    groups = []
    for group in text.replace("\\", " ").split("=")[:3]:
        components = [clean_text(part) for part in group.split("^")[:5]]
        groups.append("^".join(components)[:64].rstrip("^ "))
    return "=".join(groups).rstrip("=") or None


def _encodable(text: str) -> bool:
    """Return whether UTF-8 can encode `text`: it has no lone surrogate."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _date(text: str) -> str | None:
    digits = text.strip().replace(".", "")  # ACR-NEMA wrote 2004.08.26
    try:
        datetime.strptime(digits, "%Y%m%d")  # noqa: DTZ007 - a calendar check, no time is kept
    except ValueError:
        return None
    return digits if len(digits) == 8 else None


def _time(text: str) -> str | None:
    compact = text.strip().replace(":", "")
    whole, _, fraction = compact.partition(".")
    formats = {2: "%H", 4: "%H%M", 6: "%H%M%S"}
    if fraction and (len(whole) != 6 or not (fraction.isdigit() and fraction.isascii())):
        return None
    try:
        datetime.strptime(whole, formats[len(whole)])  # noqa: DTZ007 - as above
    except (ValueError, KeyError):
        return None
    return f"{whole}.{fraction[:6]}" if fraction else whole


def _age(text: str) -> str | None:
    return text.strip() if _AGE.fullmatch(text.strip()) else None


def _code_string(text: str) -> str | None:
    return text.strip() if _CODE_STRING.fullmatch(text.strip()) else None


def _decimal(text: str) -> str | None:
    compact = text.strip()
    if len(compact) > 16 or not any(c.isdigit() for c in compact):
        return None
    return compact if _DECIMAL.fullmatch(compact) else None


def _uid(text: str) -> str | None:
    try:
        return check_uid(text)
    except InvalidIdentifier:
        return None


_READERS: Final = {
    "DA": _date,
    "TM": _time,
    "AS": _age,
    "CS": _code_string,
    "DS": _decimal,
    "UI": _uid,
}
