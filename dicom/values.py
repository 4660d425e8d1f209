"""The values of elements that were read: each is decoded once, where an error can be answered."""

import re
import struct
from collections.abc import MutableSequence
from typing import Final

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import VR, DSfloat
from pydicom.values import multi_string

from dicom.errors import InvalidDataset
from dicom.structure import Walk, usual_vr

CHARACTER_SET: Final = 0x00080005  # says how the text of the others is written
# Without these the pixels would be decoded by a guess: unreadable is worse than absent.
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
# As pydicom calls what Specific Character Set (0008,0005) says.
_ASCII_IS_ASCII: Final = ("iso8859", ["iso8859"], ["latin_1"], ["UTF8"])
_ASCII: Final = re.compile(rb"[\x00-\x1a\x1c-\x5b\x5d-\x7f]+")  # no escape sequence, no backslash
_NUMBER: Final = re.compile(rb"-?[0-9]{1,8}(\.[0-9]{1,6})? ?")
_LONGEST: Final = {"SH": 16, "LO": 64}  # beyond that pydicom warns (PS3.5 6.2)
# What pydicom raises on bytes that are not what they say. MemoryError comes from lengths that lie.
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


def read_found(walk: Walk, *, explicit: bool) -> Dataset | None:
    """Return the elements that a walk found, plain ones decoded; None where pydicom has to find them.

    It is what pydicom reads of them; most of its time goes into finding them again.

    Raises:
        ValueError, LookupError: Specific Character Set (0008,0005) cannot be understood.
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


def _encodings(walk: Walk) -> str | MutableSequence[str] | None:
    """Return what pydicom calls the text's encodings; None where an odd element names them."""
    named = [each for each in walk.found if each.tag == CHARACTER_SET]
    if not (walk.regular and walk.all_defined) or len(named) > 1:
        return None
    if not named:
        return default_encoding
    if named[0].vr not in {"CS", None}:
        return None
    text = walk.window[named[0].value : named[0].end].decode("latin-1")
    return convert_encodings(multi_string(text))


def decode_values(dataset: Dataset) -> None:
    """Decode each value now, where an error can be answered, and leave out what cannot be.

    Raises:
        InvalidDataset: One cannot be that decides what the pixels mean.
    """
    plain_text = dataset.original_character_set in _ASCII_IS_ASCII
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
        element = _decoded(dataset, tag)
        if element is None:
            if tag in DECISIVE:
                raise InvalidDataset(f"the value of {tag} cannot be read")
            del dataset[tag]
        elif element.VR == VR.SQ:
            for item in element.value:
                decode_values(item)


def _simple(
    tag: BaseTag, written_vr: str | None, encoded: bytes | None, *, little: bool, plain_text: bool
) -> DataElement | None:
    """Return an element as pydicom decodes it, by a shorter way; None for those less plain.

    Args:
        tag: Its tag.
        written_vr: Its VR; None in implicit VR.
        encoded: Its value.
        little: Whether it is in little endian.
        plain_text: Whether ASCII is written as ASCII in text.
    """
    vr = written_vr or usual_vr(tag)
    value: str | int | float | MutableSequence[str]
    if not encoded:
        return None
    if vr == "US" and len(encoded) == 2:
        value = int.from_bytes(encoded, "little" if little else "big")
    elif vr == "CS":
        value = multi_string(encoded.decode("latin-1"))
    elif vr == "UI" and b"\\" not in encoded:
        value = UID(encoded.decode("latin-1").rstrip("\0 "))
    elif vr == "DS" and _NUMBER.fullmatch(encoded):
        value = DSfloat(encoded.decode("ascii").strip())
    elif plain_text and len(encoded) <= _LONGEST.get(vr, 0) and _ASCII.fullmatch(encoded):
        value = encoded.decode("ascii").rstrip("\0 ")
    else:
        return None
    return DataElement(tag, vr, value, already_converted=True)


def _decoded(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        element = dataset[tag]
    except PYDICOM_ERRORS:
        return None
    if element.VR in {VR.DS, VR.IS}:
        values = element.value if element.VM > 1 else [element.value]
        # pydicom leaves text that is no number as it is.
        if any(isinstance(value, str) and value for value in values):
            return None
    return element
