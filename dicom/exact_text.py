"""Decodes identifying text exactly as every archive reads it, or states why archives may differ.

An archive files an object by the bytes of its Patient ID. A result belongs to the patient of its image
only if the archive reads both values as the same text. Measured with Orthanc (DCMTK): it cuts at NUL,
keeps leading spaces, control characters and a space before a NUL, and does not decode bytes that the
declared character set does not define. Other archives cut, trim or replace differently. Text is
therefore exact only where all of them agree.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

# Identifiers whose bytes `dicom.parsing.value_decoding` keeps with the decoded value, at any depth.
IDENTIFIERS: Final = frozenset(
    {"PatientID", "IssuerOfPatientID", "OtherPatientIDs", "AccessionNumber", "StudyID"}
    | {"RequestedProcedureID", "ScheduledProcedureStepID"}
    | {"PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"}
    | {"LocalNamespaceEntityID", "UniversalEntityID"}
)
NAMES: Final = frozenset({"PatientName", "ReferringPhysicianName"})
ENCODED_TAGS: Final = frozenset(
    tag for keyword in IDENTIFIERS | NAMES if (tag := tag_for_keyword(keyword)) is not None
)
# Characters, not bytes (PS3.5 6.2).
LENGTHS: Final = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240, "UT": 10240, "UC": 1024}

_CHARACTER_SET: Final = BaseTag(0x00080005)
_UTF_8: Final = "ISO_IR 192"
# Defined terms without code extensions, under which each byte sequence has one reading (PS3.3
# C.12.1.1.2). ISO_IR 203 is left out because Orthanc does not support it.
_CODECS: Final = {
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "tis_620",
    _UTF_8: "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
# In JIS X 0201 the bytes of backslash and tilde stand for other characters (PS3.3 C.12.1.1.2).
_JIS_X_0201: Final = frozenset({"ISO_IR 13", "ISO 2022 IR 13"})
_KATAKANA: Final = re.compile(rb"[\x20-\x5b\x5d-\x7d\xa1-\xdf]*")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e\x80-\xff]*")
_ASCII: Final = re.compile(rb"[\x20-\x7e]*")
# ASCII characters that are the same in every character set, without backslash.
_PLAIN: Final = re.compile(rb"[\x20-\x5b\x5d-\x7d]*")
# Surrogate, unassigned and private-use characters; line and paragraph separators.
_NO_TEXT: Final = frozenset({"Cs", "Cn", "Co", "Zl", "Zp"})
_REPLACEMENT: Final = "�"
_TEXT_VRS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR"}
    | {"UT"}
)


class Inexact(StrEnum):
    """Why archives may read a value differently; the end of a sentence."""

    CONTROL = "it contains control characters, such as NUL, tab, line feed or ESC"
    SEVERAL = "it has more than one value or a backslash"
    UNDECLARED = (
        "it has characters outside ASCII, and Specific Character Set (0008,0005) does not name one "
        "character set for them"
    )
    UNDECODABLE = "its bytes are not text in the declared Specific Character Set (0008,0005)"
    NOT_TEXT = "its value representation (VR) is not one of text"
    TOO_LONG = "it is longer than its value representation (VR) allows"
    CHANGED = "it breaks the rules of its value representation (VR)"


@dataclass(frozen=True, slots=True)
class Reading:
    """The exact text of a value, or the reason why there is none.

    Attributes:
        text: The value without padding; "" if it is empty or has a fault.
        fault: Why it has no exact reading, or None.
    """

    text: str
    fault: Inexact | None = None


class EncodedElement(DataElement):
    """A decoded element with its original bytes, VR and character set.

    Attributes:
        encoded: The value as it was received.
        written_vr: Its VR in the file; that of the dictionary in implicit VR.
        terms: The values of Specific Character Set (0008,0005) that apply to it.
    """

    def __init__(
        self, element: DataElement, *, encoded: bytes, written_vr: str, terms: tuple[str, ...]
    ) -> None:
        """Copy the decoded element and store its original encoding."""
        super().__init__(element.tag, element.VR, element.value, already_converted=True)
        self.encoded = encoded
        self.written_vr = written_vr
        self.terms = terms


def is_plain(encoded: bytes, written_vr: str) -> bool:
    """Return whether a value without padding is plain ASCII, so that its decoded text is exact."""
    return written_vr in _TEXT_VRS and _PLAIN.fullmatch(_unpadded(encoded)) is not None


def character_sets(dataset: Dataset) -> tuple[str, ...]:
    """Return the values of Specific Character Set (0008,0005) of a data set; () if it is absent."""
    element = dataset.get_item(_CHARACTER_SET)
    if element is None or not element.value:
        return ()
    if isinstance(element.value, bytes):
        return tuple(
            term.strip() for term in element.value.decode("latin-1").rstrip("\0").split("\\")
        )
    values = element.value
    parts = values if isinstance(values, MultiValue | list | tuple) else [values]
    return tuple(str(part) for part in parts)


def reading(source: Dataset, keyword: str) -> Reading:
    """Return the exact text of an identifier of `source`, or why there is none.

    Args:
        source: A header from `dicom.parsing.header`, from pydicom, or built in memory.
        keyword: Keyword of an attribute with a text value.
    """
    written = _written(source, keyword)
    return Reading("") if written is None else _exact(*written, keyword=keyword)


def readings(source: Dataset, keyword: str) -> Iterator[Reading]:
    """Yield the result of `reading` for each value of a multi-valued attribute."""
    written = _written(source, keyword)
    if written is None:
        return
    encoded, vr, terms = written
    for value in encoded.split(b"\\"):
        yield _exact(value, vr, terms, keyword=keyword)


def name_fault(source: Dataset, keyword: str) -> Inexact | None:
    """Return why a person name cannot be decoded exactly, or None.

    Unlike an identifier, a name may use code extensions (PS3.5 6.1.2.5) and several component groups.
    """
    written = _written(source, keyword)
    if written is None:
        return None
    encoded, vr, terms = written
    if vr not in _TEXT_VRS:
        return Inexact.NOT_TEXT
    extended = any(term.startswith("ISO 2022") for term in terms)
    if b"\x1b" in encoded and not extended:
        return Inexact.CONTROL
    text = str(source.get(keyword) or "").strip(" \0")
    if _REPLACEMENT in text or any(unicodedata.category(c) == "Cs" for c in text):
        return Inexact.UNDECODABLE
    if any(unicodedata.category(c) == "Cc" for c in text):
        return Inexact.CONTROL
    return None


def _written(source: Dataset, keyword: str) -> tuple[bytes, str, tuple[str, ...]] | None:
    """Return bytes, VR and character sets of a value; None if the element is absent."""
    tag = Tag(keyword)
    element = source.get_item(tag)
    if element is None:
        return None
    if isinstance(element, EncodedElement):
        return element.encoded, element.written_vr, element.terms
    usual = dictionary_VR(tag)
    if isinstance(element, RawDataElement):
        return element.value or b"", element.VR or usual, character_sets(source)
    return _text_of(element).encode("utf-8", "surrogatepass"), element.VR, (_UTF_8,)


def _text_of(element: DataElement) -> str:
    value = element.value
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


def _exact(encoded: bytes, vr: str, terms: tuple[str, ...], *, keyword: str) -> Reading:
    value = _unpadded(encoded)
    fault = _byte_fault(value, vr)
    if fault is not None:
        return Reading("", fault)
    if not _is_ascii(value, terms):
        decoded = _decoded(value, terms)
        if isinstance(decoded, Inexact):
            return Reading("", decoded)
        text = decoded
    else:
        text = value.decode("ascii")
    longest = LENGTHS.get(dictionary_VR(Tag(keyword)), len(text))
    return Reading(text) if len(text) <= longest else Reading("", Inexact.TOO_LONG)


def _unpadded(encoded: bytes) -> bytes:
    """Return a value without its padding: trailing spaces, or NUL followed by spaces.

    A NUL after a space is kept: archives that cut at NUL treat that space as part of the value.
    """
    value = encoded.rstrip(b" ")
    if not value.endswith(b"\0"):
        return value
    cut = value.rstrip(b"\0")
    return value if cut.endswith(b" ") else cut


def _byte_fault(value: bytes, vr: str) -> Inexact | None:
    if value and vr not in _TEXT_VRS:
        return Inexact.NOT_TEXT
    if not _PRINTABLE.fullmatch(value):
        return Inexact.CONTROL
    return Inexact.SEVERAL if b"\\" in value else None


def _is_ascii(value: bytes, terms: tuple[str, ...]) -> bool:
    if b"~" in value and not _JIS_X_0201.isdisjoint(terms):
        return False
    return _ASCII.fullmatch(value) is not None


def _decoded(value: bytes, terms: tuple[str, ...]) -> str | Inexact:
    codec = _CODECS.get(terms[0]) if len(terms) == 1 else None
    if codec is None:
        return Inexact.UNDECLARED
    if terms[0] in _JIS_X_0201 and not _KATAKANA.fullmatch(value):
        return Inexact.UNDECODABLE
    try:
        text = value.decode(codec)
    except UnicodeDecodeError:
        return Inexact.UNDECODABLE
    kinds = {unicodedata.category(character) for character in text}
    if "Cc" in kinds:
        return Inexact.CONTROL
    return Inexact.UNDECODABLE if _REPLACEMENT in text or kinds & _NO_TEXT else text
