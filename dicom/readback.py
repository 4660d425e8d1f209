"""Whether what an archive gives back is the object that was sent.

An archive may write the file meta information anew, store in another transfer syntax and correct the
attributes that identify patient and study (PS3.4 B.4.1.3 and PS3.18 10.5 call that coercion). What our
object says must be the same: each other attribute is compared.
"""

import hashlib
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag

_PIXEL_DATA: Final = 0x7FE00010
# Identification of study and visit, character set, and where the archive tells what it changed.
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
    InvalidDicomError,
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def first_difference(ours: bytes, theirs: bytes) -> str | None:
    """Return what differs first between two PS3.10 files, or None when they are the same object.

    Args:
        ours: The file as it was sent.
        theirs: The file as it came back; untrusted, already limited in size.

    Returns:
        The keyword of an attribute (never its value), or "encoding" when `theirs` cannot be read.
    """
    if hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest():
        return None
    try:
        return _compare(dcmread(BytesIO(ours)), dcmread(BytesIO(theirs)))
    except _UNREADABLE:
        return "encoding"


def _compare(ours: Dataset, theirs: Dataset) -> str | None:
    compressed = {ours.file_meta.TransferSyntaxUID, theirs.file_meta.TransferSyntaxUID}
    transcoded = len(compressed) > 1 and any(syntax.is_compressed for syntax in compressed)
    for tag in _compared_tags(ours, theirs):
        if tag == _PIXEL_DATA and transcoded and tag in ours and tag in theirs:
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
