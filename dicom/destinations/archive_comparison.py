"""Comparison of an archive's copy with the object that was sent.

An archive may rewrite the file meta information, store in another transfer syntax and correct the
attributes that identify patient and study (PS3.4 B.4.1.3 and PS3.18 10.5 call that coercion). All other
attributes must be equal.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag

# Attributes that change if an archive stores the pixels in another encoding (PS3.5 8.2, PS3.3 C.7.6.1).
_OF_ENCODING: Final = frozenset(
    {
        0x00080008,  # Image Type
        0x00082111,  # Derivation Description
        0x00089215,  # Derivation Code Sequence
        0x00280004,  # Photometric Interpretation
        0x00280006,  # Planar Configuration
        0x00282110,  # Lossy Image Compression
        0x00282112,  # Lossy Image Compression Ratio
        0x00282114,  # Lossy Image Compression Method
        0x7FE00010,  # Pixel Data
    }
)
# Identification of study and visit, character set, and attributes that record what the archive changed.
_COERCIBLE: Final = frozenset(
    {
        0x00080005,  # Specific Character Set
        0x00080020,  # Study Date
        0x00080030,  # Study Time
        0x00080050,  # Accession Number
        0x00080051,  # Issuer of Accession Number Sequence
        0x00080054,  # Retrieve AE Title
        0x00080056,  # Instance Availability
        0x00080080,  # Institution Name
        0x00080090,  # Referring Physician's Name
        0x00080201,  # Timezone Offset From UTC
        0x00081030,  # Study Description
        0x00081190,  # Retrieve URL
        0x00200010,  # Study ID
        0x04000561,  # Original Attributes Sequence
    }
)
_UNREADABLE = (
    BytesLengthException,
    InvalidDicomError,
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def first_difference(ours: bytes, theirs: bytes) -> str | None:
    """Return the first difference between two PS3.10 files, or None if they are the same object.

    Args:
        ours: The file as it was sent.
        theirs: The file as it came back; untrusted, already limited in size.

    Returns:
        The keyword of an attribute (never its value), or "encoding" when `theirs` cannot be read.
    """
    if ours == theirs:
        return None
    try:
        return _compare(dcmread(BytesIO(ours)), dcmread(BytesIO(theirs)))
    except _UNREADABLE:
        return "encoding"


def _compare(ours: Dataset, theirs: Dataset) -> str | None:
    syntaxes = {ours.file_meta.TransferSyntaxUID, theirs.file_meta.TransferSyntaxUID}
    transcoded = len(syntaxes) > 1 and any(syntax.is_compressed for syntax in syntaxes)
    for tag in _compared_tags(ours, theirs):
        if transcoded and tag in _OF_ENCODING:
            continue
        if tag not in ours or tag not in theirs or ours[tag].value != theirs[tag].value:
            return keyword_for_tag(tag) or str(tag)
    return None


def _compared_tags(ours: Dataset, theirs: Dataset) -> Iterator[BaseTag]:
    for tag in sorted({*ours.keys(), *theirs.keys()}):
        patient = tag.group == 0x0010
        added = tag.is_private and tag not in ours  # archives keep notes in private attributes
        if not (patient or added or tag in _COERCIBLE or tag.element == 0):
            yield tag
