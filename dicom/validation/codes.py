"""Validation rules for codes: each has its reviewed meaning, and none is misused or invalid."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicom.content import codes

Pair = tuple[str, str]  # rule, reason

# Codes that public software uses wrongly for the findings that we code, and their true meaning.
_MISUSED: Final = {
    ("287272002", "SCT"): "is cardiomegaly of the fetus; the finding is 8186001",
    ("79654002", "SCT"): "is edema anywhere; pulmonary edema is 19242006",
    ("267038008", "SCT"): "is edema anywhere; pulmonary edema is 19242006",
    ("51185008", "SCT"): "is retired; the chest is 816094009",
    ("82334004", "SCT"): "is not in CID 240; Undetermined is 373068000",
    ("121053", "DCM"): "is in no context group for presence; CID 240 has 52101004",
    ("121054", "DCM"): "is in no context group for presence; CID 240 has 272519000",
}
# Attributes whose codes the author of a document chooses; all others are copied from order or image.
_AUTHORS_OWN: Final = (
    "ConceptNameCodeSequence",
    "ContentSequence",
    "PredecessorDocumentsSequence",
    "ContributingEquipmentSequence",
)
# Verhoeff's permutation of the digits.
_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def code_faults(document: Dataset) -> Iterator[Pair]:
    """Yield a fault for each code of a document that is incomplete, misused, or has another meaning.

    Codes copied from the order or the image are not checked; their Code Meaning may differ.
    """
    for keyword in _AUTHORS_OWN:
        for part in document.get(keyword) or ():
            for item in (part, *_coded(part)):
                if "CodeValue" in item:
                    yield from _one_code(item)


def unreviewed(document: Dataset) -> Iterator[Pair]:
    """Yield a fault for each code of a content tree that is not in our table of reviewed codes."""
    for content in document.get("ContentSequence", []):
        for item in _coded(content):
            key = _key(item)
            if key not in codes.REVIEWED:
                yield "code", f"({key[0]}, {key[1] or 'no scheme'}) is not in the reviewed table"


def is_sctid(value: str) -> bool:
    """Return whether `value` can be a SNOMED CT identifier: 6 to 18 digits, the last a check digit.

    Verhoeff's check digit detects every single wrong digit and every swap of two adjacent digits.
    """
    if not (value.isascii() and value.isdigit() and 6 <= len(value) <= 18) or value[0] == "0":
        return False
    check = 0
    for place, digit in enumerate(reversed(value)):
        check = _times(check, _permuted(int(digit), place % 8))
    return check == 0


def _times(first: int, second: int) -> int:
    """Return the product of two elements of the dihedral group of order ten."""
    turned = first >= 5
    added = (first - second if turned else first + second) % 5
    return added + 5 * (turned != (second >= 5))


def _permuted(digit: int, times: int) -> int:
    for _ in range(times):
        digit = _PERMUTATION[digit]
    return digit


def _coded(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset.iterall():
        if element.VR == "SQ":
            yield from (item for item in element.value if "CodeValue" in item)


def _key(item: Dataset) -> tuple[str, str]:
    return str(item.get("CodeValue")), str(item.get("CodingSchemeDesignator", ""))


def _one_code(item: Dataset) -> Iterator[Pair]:
    key = _key(item)
    code_text = f"({key[0]}, {key[1] or 'no scheme'})"
    if not key[1] or not item.get("CodeMeaning"):
        yield "code", f"{code_text} lacks its scheme or its meaning"
    if key in _MISUSED:
        yield "code", f"{code_text} {_MISUSED[key]}"
    elif key[1] == "SCT" and not is_sctid(key[0]):
        yield "code", f"{code_text} is not a SNOMED CT code: its check digit is wrong"
    meaning = codes.REVIEWED.get(key)
    if meaning and _folded(str(item.get("CodeMeaning", ""))) != _folded(meaning):
        yield "code", f"{code_text} means {meaning!a}, but its Code Meaning differs"


def _folded(meaning: str) -> str:
    return "".join(letter for letter in meaning.casefold() if letter.isalnum())
