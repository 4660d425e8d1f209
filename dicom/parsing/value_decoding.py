"""Decoding of element values: each is decoded once, at a place where its error can be handled."""

import re
import struct
from collections.abc import MutableSequence
from typing import Final

from pydicom.charset import convert_encodings, default_encoding
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_description
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import VR, DSfloat
from pydicom.values import multi_string

from dicom.errors import InvalidDataset
from dicom.exact_text import ENCODED_TAGS, EncodedElement, character_sets, is_plain
from dicom.identifiers import uid_value
from dicom.parsing.element_scanner import ElementScanner, usual_vr

CHARACTER_SET: Final = 0x00080005  # gives the encoding of text in the other elements
# These decide what the pixels mean. An unreadable one must not be treated as absent: the default for an
# absent one would be a guess.
DECISIVE: Final = frozenset(
    {
        0x00280002,  # Samples per Pixel
        0x00280004,  # Photometric Interpretation
        0x00280008,  # Number of Frames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280100,  # Bits Allocated
        0x00280101,  # Bits Stored
        0x00280102,  # High Bit
        0x00280103,  # Pixel Representation
        0x00281052,  # Rescale Intercept
        0x00281053,  # Rescale Slope
    }
)
# If unreadable, these are kept as NaN, so that their window is reported as unusable.
_WINDOW: Final = frozenset({0x00281050, 0x00281051})  # Window Center, Window Width
# An archive files an object by these identifiers.
_IDENTIFYING: Final = ENCODED_TAGS | {0x00080016, 0x00080018, 0x0020000D, 0x0020000E}
_DECIMAL_COMMA: Final = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# pydicom's names of the encodings that encode ASCII text as ASCII.
_ASCII_IS_ASCII: Final = ("iso8859", ["iso8859"], ["latin_1"], ["UTF8"])
_ASCII: Final = re.compile(rb"[\x00-\x1a\x1c-\x5b\x5d-\x7f]+")  # no escape sequence, no backslash
_NUMBER: Final = re.compile(rb"-?[0-9]{1,8}(\.[0-9]{1,6})? ?")
_LONGEST: Final = {"SH": 16, "LO": 64}  # pydicom warns about longer values (PS3.5 6.2)
# What pydicom raises on malformed data. MemoryError comes from wrong lengths.
PYDICOM_ERRORS: Final = (
    ValueError,  # with UnicodeError
    BytesLengthException,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    OSError,
    EOFError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    struct.error,
    InvalidDicomError,
)


def read_found(walk: ElementScanner, *, explicit: bool) -> Dataset | None:
    """Return the elements that a scan found, simple ones decoded; None if pydicom must find them itself.

    The result equals what pydicom reads, without the time that it needs to find the elements again.

    Raises:
        ValueError, LookupError: Specific Character Set (0008,0005) is not understood.
    """
    window, little = walk.window, walk.order == "<"
    encodings = _encodings(walk)
    if encodings is None:
        return None
    plain_text = encodings in _ASCII_IS_ASCII
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    for tag, vr, _, value, end in walk.found:
        key = BaseTag(tag)
        encoded = window[value:end] or None
        elements[key] = _simple(
            key, vr, encoded, little=little, plain_text=plain_text
        ) or RawDataElement(key, vr, end - value, encoded, value, not explicit, little)
    dataset = Dataset(elements)
    dataset.set_original_encoding(not explicit, little, encodings)
    return dataset


def _encodings(walk: ElementScanner) -> str | MutableSequence[str] | None:
    """Return pydicom's names of the text encodings; None if pydicom must read the elements itself."""
    named = [each for each in walk.found if each.tag == CHARACTER_SET]
    if not (walk.regular and walk.all_defined) or len(named) > 1:
        return None
    if not named:
        return default_encoding
    if named[0].vr not in {"CS", None}:
        return None
    # Archives read a value up to its first NUL; pydicom would refuse it.
    text = walk.window[named[0].value : named[0].end].partition(b"\0")[0].decode("latin-1")
    return convert_encodings(multi_string(text))


def join_repeated(dataset: Dataset, walk: ElementScanner) -> None:
    """Join the different values of an identifier that a data set contains twice into one element.

    Some archives use the first and some the last: an identifier with two values is refused later.
    """
    tags = [each.tag for each in walk.found]
    if len(tags) == len(set(tags)):
        return
    for tag in {tag for tag in tags if tag in _IDENTIFYING and tags.count(tag) > 1}:
        found = [each for each in walk.found if each.tag == tag]
        values = dict.fromkeys(walk.window[each.value : each.end] for each in found)
        if len(values) > 1:
            joined = b"\\".join(values)
            dataset[tag] = RawDataElement(
                BaseTag(tag), found[0].vr, len(joined), joined, 0, found[0].vr is None, True
            )


def decode_values(
    dataset: Dataset, *, strict: bool = True, outer_terms: tuple[str, ...] = ()
) -> None:
    """Decode each value now and remove elements that cannot be decoded.

    An unreadable Window Center or Window Width becomes NaN instead. Identifiers keep their bytes
    (`dicom.exact_text`), even if these cannot be decoded.

    Args:
        dataset: The elements; changed in place.
        strict: Raise for an unreadable value that decides what the pixels mean.
        outer_terms: Specific Character Set (0008,0005) of the data set around an item.

    Raises:
        InvalidDataset: If `strict`, a value that decides what the pixels mean cannot be decoded.
    """
    plain_text = dataset.original_character_set in _ASCII_IS_ASCII
    terms = character_sets(dataset) or outer_terms
    for tag, raw in list(dataset.items()):
        if isinstance(raw, RawDataElement):
            simple = _simple(
                tag, raw.VR, raw.value, little=raw.is_little_endian, plain_text=plain_text
            )
            if simple is not None:
                dataset[tag] = simple
                continue
        elif raw.VR != VR.SQ:
            continue
        element = _decoded(dataset, tag, raw, terms)
        if element is None:
            if strict and tag in DECISIVE:
                raise InvalidDataset(f"the value of {_named(tag)} cannot be read")
            del dataset[tag]
        elif element.VR == VR.SQ:
            for item in element.value:
                decode_values(item, strict=strict, outer_terms=terms)


def _named(tag: BaseTag) -> str:
    return f"{dictionary_description(tag)} {tag}"


def _with_bytes(
    element: DataElement | None, raw: RawDataElement, terms: tuple[str, ...]
) -> EncodedElement:
    """Return an identifier with its bytes, and with empty text if it could not be decoded."""
    usual = usual_vr(raw.tag)
    decoded = element or DataElement(raw.tag, usual, "", already_converted=True)
    return EncodedElement(
        decoded, encoded=raw.value or b"", written_vr=raw.VR or usual, terms=terms
    )


def _simple(
    tag: BaseTag, written_vr: str | None, encoded: bytes | None, *, little: bool, plain_text: bool
) -> DataElement | None:
    """Return an element as pydicom decodes it, but faster; None if it is not simple enough.

    Args:
        tag: Its tag.
        written_vr: Its VR; None in implicit VR.
        encoded: The bytes of its value.
        little: Whether they are in little endian.
        plain_text: Whether the character set encodes ASCII text as ASCII.
    """
    vr = written_vr or usual_vr(tag)
    value: str | int | float | MutableSequence[str]
    if not encoded or (tag in ENCODED_TAGS and not is_plain(encoded, vr)):
        return None
    if vr == "US" and len(encoded) == 2:
        value = int.from_bytes(encoded, "little" if little else "big")
    elif vr == "CS":
        value = multi_string(encoded.decode("latin-1"))
    elif vr == "UI" and b"\\" not in encoded:
        # Bytes after a NUL are not part of the UID: archives built on DCMTK cut it there.
        value = UID(uid_value(encoded.decode("latin-1")), validation_mode=IGNORE)
    elif vr == "DS" and _NUMBER.fullmatch(encoded):
        value = DSfloat(encoded.decode("ascii").strip())
    elif plain_text and len(encoded) <= _LONGEST.get(vr, 0) and _ASCII.fullmatch(encoded):
        value = encoded.decode("ascii").rstrip("\0 ")
    else:
        return None
    return DataElement(tag, vr, value, already_converted=True)


def _decoded(
    dataset: Dataset, tag: BaseTag, raw: DataElement | RawDataElement, terms: tuple[str, ...]
) -> DataElement | None:
    """Decode an element in `dataset` and return it, or None if it cannot be decoded."""
    try:
        element = dataset[tag]
        _check_digits(element, raw)
    except PYDICOM_ERRORS:
        decoded = _raw_decimals(raw) if isinstance(raw, RawDataElement) else None
    else:
        decoded = _numbers(element) if element.VR in {VR.DS, VR.IS} else element
        if decoded is element and tag not in ENCODED_TAGS:
            return element
    if tag in ENCODED_TAGS and isinstance(raw, RawDataElement) and raw.value:
        decoded = _with_bytes(decoded, raw, terms)
    elif decoded is None and tag in _WINDOW:
        decoded = DataElement(tag, VR.DS, DSfloat(float("nan")), already_converted=True)
    if decoded is not None:
        dataset[tag] = decoded
    return decoded


def _check_digits(element: DataElement, raw: DataElement | RawDataElement) -> None:
    """Check that a DS or IS value has no underscore: Python reads 1_5 as 15, but no archive does.

    Raises:
        ValueError: It has one.
    """
    if (
        element.VR in {VR.DS, VR.IS}
        and isinstance(raw, RawDataElement)
        and b"_" in (raw.value or b"")
    ):
        raise ValueError("an underscore in a number")


def _numbers(element: DataElement) -> DataElement | None:
    """Return a DS or IS element with numbers as values; None if one cannot be read."""
    values = list(element.value) if element.VM > 1 else [element.value]
    # pydicom keeps text that is not a number as text.
    if not any(isinstance(value, str) and value for value in values):
        return element
    return _as_decimals(element.tag, values) if element.VR == VR.DS else None


def _raw_decimals(raw: RawDataElement) -> DataElement | None:
    """Return a DS element that pydicom could not read; None if a value is not a number."""
    if (raw.VR or usual_vr(raw.tag)) != VR.DS or not raw.value:
        return None
    return _as_decimals(raw.tag, list(raw.value.decode("latin-1").rstrip("\0").split("\\")))


def _as_decimals(tag: BaseTag, values: list[object]) -> DataElement | None:
    """Return a DS element, also reading decimal commas; None if a value is not a number."""
    otherwise = DSfloat(float("nan")) if tag in _WINDOW else None
    numbers = [_decimal(value, otherwise) if isinstance(value, str) else value for value in values]
    if any(number is None for number in numbers):
        return None
    value = numbers[0] if len(numbers) == 1 else MultiValue(DSfloat, numbers)
    return DataElement(tag, VR.DS, value, already_converted=True)


def _decimal(text: str, otherwise: DSfloat | None) -> DSfloat | str | None:
    compact = text.strip(" ")
    if "_" in compact:
        return otherwise
    if not compact:
        return compact
    if _DECIMAL_COMMA.fullmatch(compact):
        compact = compact.replace(",", ".")
    try:
        return DSfloat(compact)
    except (ValueError, OverflowError):
        return otherwise
