"""Whether films that came under one Study Instance UID are of one patient (PS3.3 C.7.1.1)."""

from collections.abc import Sequence
from itertools import combinations

from pydicom.dataset import Dataset

from dicom.attributes import words
from dicom.exact_text import reading


def are_one_patient(headers: Sequence[Dataset]) -> bool:
    """Say whether no two headers name different patients; two that say nothing may be one.

    Patient ID decides where both have one (with its issuer, where both name that); otherwise name and
    birth date must agree as far as both say them. An ID without an exact
    reading (`dicom.exact_text`) says nothing. A wrong worklist entry or a copied UID brings films
    of two people into one study: a draft of one must never be filed under, or supersede, the other's.
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
    return words(header, "PatientName").replace("^", " ").strip()


def _agree(one: str, other: str) -> bool:
    """Say whether both are the same, or one of them is empty."""
    return not one or not other or one == other
