"""Whether the images of one Study Instance UID belong to one patient (PS3.3 C.7.1.1)."""

from collections.abc import Sequence
from itertools import combinations

from pydicom.dataset import Dataset

from dicom.attributes import searchable_text
from dicom.exact_text import reading


def are_one_patient(headers: Sequence[Dataset]) -> bool:
    """Return whether no two headers name different patients; absent values never differ.

    If both have a Patient ID, it decides, with its issuer if both state one; otherwise name and birth
    date must agree if both state them. An ID without an exact reading (`dicom.exact_text`) counts as
    absent. A wrong worklist entry or a copied UID brings images of two people into one Study: a draft
    about one must never be filed under the other, nor supersede the other's draft.
    """
    return all(_may_be_the_same(one, other) for one, other in combinations(headers, 2))


def _may_be_the_same(one: Dataset, other: Dataset) -> bool:
    if _identifier(one, "PatientID") and _identifier(other, "PatientID"):
        identifiers = ("PatientID", "IssuerOfPatientID")
        return all(_agree(_identifier(one, key), _identifier(other, key)) for key in identifiers)
    return _agree(_name(one), _name(other)) and _agree(_birth_date(one), _birth_date(other))


def _identifier(header: Dataset, keyword: str) -> str:
    return reading(header, keyword).text


def _birth_date(header: Dataset) -> str:
    keyword = "PatientBirthDate"
    return str(header.get(keyword) or "").strip()


def _name(header: Dataset) -> str:
    return searchable_text(header, "PatientName").replace("^", " ").strip()


def _agree(one: str, other: str) -> bool:
    """Return whether both are the same, or one of them is empty."""
    return not one or not other or one == other
