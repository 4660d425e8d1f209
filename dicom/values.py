"""The values of elements that were read: each is decoded once, where an error can be answered."""

import struct
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from dicom.errors import InvalidDataset

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
    """Decode each value now, where an error can be answered, and leave out what cannot be."""
    for tag in list(dataset.keys()):
        element = _decoded(dataset, tag)
        if element is None:
            if tag in DECISIVE:
                raise InvalidDataset(f"the value of {tag} cannot be read")
            del dataset[tag]
        elif element.VR == VR.SQ:
            for item in element.value:
                decode_values(item)


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
