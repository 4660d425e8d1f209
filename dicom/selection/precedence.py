"""The order in which the images of a Study that may be read are examined."""

from typing import Final

from pydicom.dataset import Dataset

from dicom.attributes import is_for_processing, searchable_text
from dicom.selection.triage import Eligibility, Triage

# Sort key of an image: not surely a frontal chest image, raw, derived, view, latest first, largest
# first, UID.
Precedence = tuple[bool, bool, bool, int, tuple[int, ...], int, str]

_VIEW_ORDER: Final = {"PA": 0, "AP": 1}


def precedence(header: Dataset, verdict: Triage, sop_instance_uid: str) -> Precedence:
    """Return the sort key of an image; the lowest is examined first, and no two images share one."""
    return (
        verdict.eligibility is not Eligibility.LIKELY,
        is_for_processing(header),
        _derived_by_subtraction(header),
        _VIEW_ORDER.get(verdict.view, 2),
        tuple(-ord(letter) for letter in _taken_at(header)),
        -_matrix_size(header),
        sop_instance_uid,
    )


def _matrix_size(header: Dataset) -> int:
    rows, columns = header.get("Rows"), header.get("Columns")
    return rows * columns if isinstance(rows, int) and isinstance(columns, int) else 0


def _derived_by_subtraction(header: Dataset) -> bool:
    """Return whether it was derived from a radiograph: bone or soft tissue only, or with CAD marks."""
    text = f" {searchable_text(header, 'ImageType', 'SeriesDescription', 'DerivationDescription')} "
    return any(word in text for word in (" BONE", " SOFT TISSUE", "SUPPRESS", "SUBTRACT", " CAD "))


def _taken_at(header: Dataset) -> str:
    """Return date and time of the exposure as 14 digits that sort by time; zeros if not stated."""
    for name in ("Acquisition", "Content", "Series", "Study"):
        day = searchable_text(header, f"{name}Date")
        if len(day) == 8 and day.isdecimal() and day.isascii():
            clock = searchable_text(header, f"{name}Time").split(" ")[0]
            return day + (clock if clock.isdecimal() and clock.isascii() else "").ljust(6, "0")[:6]
    return "0" * 14
