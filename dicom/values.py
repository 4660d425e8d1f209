"""The values of elements that were read: each is decoded once, where an error can be answered."""

import re
import struct
from typing import Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import VR

from dicom.errors import InvalidDataset
from dicom.structure import usual_vr

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
_ASCII: Final = re.compile(rb"[\x00-\x1a\x1c-\x7f]+")  # without escape sequences
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


def decode_values(dataset: Dataset) -> None:
    """Decode each value now, where an error can be answered, and leave out what cannot be.

    Raises:
        InvalidDataset: One cannot be that decides what the pixels mean.
    """
    encodings = dataset.original_character_set
    plain_text = encodings in _ASCII_IS_ASCII
    for tag, raw in list(dataset.items()):
        if isinstance(raw, RawDataElement):
            simple = _simple(raw, plain_text=plain_text)
            if simple is not None:
                dataset[tag] = simple
                continue
        element = _decoded(dataset, tag)
        if element is None:
            if tag in DECISIVE:
                raise InvalidDataset(f"the value of {tag} cannot be read")
            del dataset[tag]
        elif element.VR == VR.SQ:
            for item in element.value:
                decode_values(item)


def _simple(raw: RawDataElement, *, plain_text: bool) -> DataElement | None:
    """Return an element of one value as pydicom decodes it, in a fifth of the time; None for others.

    Args:
        raw: The element.
        plain_text: Whether ASCII is written as ASCII in text.
    """
    tag, encoded = raw.tag, raw.value
    vr = raw.VR or usual_vr(tag)
    value: str | int
    if not encoded or b"\\" in encoded:
        return None
    if vr == "US" and len(encoded) == 2:
        value = int.from_bytes(encoded, "little" if raw.is_little_endian else "big")
    elif vr == "CS":
        value = encoded.decode("latin-1").rstrip("\0 ")
    elif vr == "UI":
        value = UID(encoded.decode("latin-1").rstrip("\0 "))
    elif plain_text and len(encoded) <= _LONGEST.get(vr, 0) and _ASCII.fullmatch(encoded):
        value = encoded.decode("ascii").rstrip("\0 ")
    else:
        return None
    return DataElement(tag, vr, value, raw.value_tell, already_converted=True)


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
