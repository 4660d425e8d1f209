"""In which order the films of a study are looked at, of those that may be read."""

from typing import Final

from pydicom.dataset import Dataset

from dicom.attributes import is_for_processing, words
from dicom.selection.triage import Eligibility, Triage

# Sort key of one film: not surely a frontal chest film, raw, made from a film, view, how long ago,
# how small, UID.
Precedence = tuple[bool, bool, bool, int, tuple[int, ...], int, str]

_VIEW_ORDER: Final = {"PA": 0, "AP": 1}


def precedence(header: Dataset, verdict: Triage, sop_instance_uid: str) -> Precedence:
    """Return the sort key of a film; the lowest is looked at first, and no two films share one."""
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
    """Say whether it is a picture made from a film: bone or soft tissue only, with marks on it."""
    text = f" {words(header, 'ImageType', 'SeriesDescription', 'DerivationDescription')} "
    return any(word in text for word in (" BONE", " SOFT TISSUE", "SUPPRESS", "SUBTRACT", " CAD "))


def _taken_at(header: Dataset) -> str:
    """Return date and time of the exposure as digits, so that a later one is the greater text."""
    for name in ("Acquisition", "Content", "Series", "Study"):
        day = words(header, f"{name}Date")
        if len(day) == 8 and day.isdecimal() and day.isascii():
            clock = words(header, f"{name}Time").split(" ")[0]
            return day + (clock if clock.isdecimal() and clock.isascii() else "").ljust(6, "0")[:6]
    return "0" * 14
