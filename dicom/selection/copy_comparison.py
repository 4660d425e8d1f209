"""Differences between two copies of one SOP Instance that matter to a draft about the first.

    differences(first, second, examine, limits) -> ("Patient ID", "the picture"), or () for none

Many differences do not matter: private elements, times, another transfer syntax.
What matters is the patient, the order, the Study and Series, and what the image shows:

- Patient ID and its issuer, Study and Series Instance UID: another value in the second copy;
- name, birth date, sex, Accession Number, laterality, orientation, view, body part: another value if
  both copies have one. A name differs if neither copy's words contain the other's: a second given name
  or "Mueller" for "Müller" is the same person, a corrected name may be another person;
- the picture: other stored bytes, unless both decode to the same picture (another compression).
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.errors import DicomError
from dicom.parsing.header import read_header, read_pixel_elements
from dicom.pixels.frame import PixelLimits
from dicom.selection.image_selection import Examine

_PIXELS: Final = "the displayed pixels"
_UNREADABLE: Final = "its header, which cannot be read"
_UNDECODED: Final = "its stored pixels, which cannot be decoded for comparison"
_EXACT: Final = {
    "PatientID": "Patient ID",
    "IssuerOfPatientID": "Issuer of Patient ID",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
}
_WHERE_BOTH: Final = {
    "PatientBirthDate": "Patient's Birth Date",
    "PatientSex": "Patient's Sex",
    "AccessionNumber": "Accession Number",
    "ImageLaterality": "Image Laterality",
    "Laterality": "Laterality",
    "PatientOrientation": "Patient Orientation",
    "ViewPosition": "View Position",
    "BodyPartExamined": "Body Part Examined",
}
# Letters with a second spelling, other than without their accent.
_SPELLED: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae", "ß": "ss"}
)
_PART: Final = 16  # pixels along the edge of the squares whose means are compared
# The largest accepted difference of such means, in 0..1; lossy compression causes less.
_LOSS: Final = 0.02


def differences(
    first: Path, second: Path, examine: Examine, limits: PixelLimits, *, is_last_try: bool = True
) -> tuple[str, ...]:
    """Return the names of the differences that matter, empty if there are none.

    Args:
        first: The file that was or may be read.
        second: The later copy.
        examine: Decodes a picture, such as `dicom.decoding.pool.Decoders.examine`.
        limits: Upper limits of the pictures.
        is_last_try: Count a picture that cannot be decoded at the moment as different.

    Raises:
        DicomError, OSError: A picture cannot be decoded at the moment; never if `is_last_try`.
    """
    try:
        ours, theirs = read_header(first), read_header(second)
    except DicomError:
        return (_UNREADABLE,)
    found = [*_attributes(ours, theirs)]
    try:
        if not _same_picture((first, ours), (second, theirs), examine, limits):
            found.append(_PIXELS)
    except (DicomError, OSError) as error:
        if not is_last_try and (isinstance(error, OSError) or error.transient):
            raise
        found.append(_UNDECODED)
    return tuple(found)


def _attributes(first: Dataset, second: Dataset) -> Iterator[str]:
    for keyword, name in _EXACT.items():
        ours, theirs = _text(first, keyword), _text(second, keyword)
        # A copy without an identifier does not name another patient, Study or Series.
        if theirs and ours != theirs:
            yield name
    if _is_other_name(_text(first, "PatientName"), _text(second, "PatientName")):
        yield "Patient's Name"
    for keyword, name in _WHERE_BOTH.items():
        ours, theirs = _text(first, keyword), _text(second, keyword)
        if ours and theirs and ours != theirs:
            yield name


def _text(header: Dataset, keyword: str) -> str:
    """Return a value as one text without padding, "" if absent."""
    raw = header.get(keyword)
    values = raw if isinstance(raw, list | tuple) or hasattr(raw, "append") else [raw]
    return "\\".join("" if each is None else str(each).strip("\0 ") for each in values or ())


def _is_other_name(first: str, second: str) -> bool:
    """Return whether two values of Patient's Name may name two people.

    Their component groups are compared in pairs (PS3.5 6.2): one pair that agrees is enough.
    """
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(first.split("="), second.split("="), strict=False)
        if ours.strip("^ ") and theirs.strip("^ ")
    ]
    if not pairs:
        return bool(first.strip("^= ") and second.strip("^= "))
    return not any(_agree(*pair) for pair in pairs)


def _agree(first: str, second: str) -> bool:
    for spelled in (_without_accents, _transcribed):
        ours, theirs = (re.findall(r"\w+", spelled(name)) for name in (first, second))
        if "".join(ours) == "".join(theirs) or set(ours) <= set(theirs) or set(theirs) <= set(ours):
            return True
    return False


def _without_accents(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(each for each in plain if not unicodedata.combining(each))


def _transcribed(name: str) -> str:
    return _without_accents(unicodedata.normalize("NFC", name.lower()).translate(_SPELLED))


def _same_picture(
    first: tuple[Path, Dataset],
    second: tuple[Path, Dataset],
    examine: Examine,
    limits: PixelLimits,
) -> bool:
    """Return whether two copies have the same stored bytes, or decode to the same picture."""
    (ours, our_header), (theirs, their_header) = first, second
    same_kind = _meaning(our_header) == _meaning(their_header)
    if same_kind and _digest(ours, limits) == _digest(theirs, limits):
        return True
    return _alike(examine(ours, limits).frame.pixels, examine(theirs, limits).frame.pixels)


def _meaning(header: Dataset) -> tuple[str, ...]:
    """Return the transfer syntax and attributes by which stored bytes are decoded."""
    syntax = str(header.file_meta.TransferSyntaxUID)
    keywords = (
        "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "SamplesPerPixel", "PhotometricInterpretation",
    )  # fmt: skip
    return syntax, *(_text(header, keyword) for keyword in keywords)


def _digest(path: Path, limits: PixelLimits) -> bytes:
    value = read_pixel_elements(path, limits.max_bytes).get("PixelData")
    return hashlib.blake2b(value or b"").digest()


def _alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Return whether two pictures differ by no more than lossy compression causes.

    Args:
        first: float32 [H, W] in 0..1.
        second: Likewise.
    """
    if first.shape != second.shape:
        return False
    # Incomplete squares at the edges are filled up with zero differences.
    apart = np.pad(first - second, [(0, -size % _PART) for size in first.shape])
    squares = apart.reshape(apart.shape[0] // _PART, _PART, apart.shape[1] // _PART, _PART)
    return bool(np.abs(squares.mean(axis=(1, 3))).max() <= _LOSS)
