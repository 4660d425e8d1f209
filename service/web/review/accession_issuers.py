"""Which studies with an accession number are of the issuer that a link names, by their headers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicom.errors import DicomError
from dicom.parsing.header import read_header
from service.records import ReceivedInstance
from service.store import Store
from service.study_identity import StudyIdentity

# Of a study with more Instances, these are read: a chest study has few.
_MOST_HEADERS: Final = 16
_ISSUER: Final = "IssuerOfAccessionNumberSequence"
_ISSUER_TAG: Final = frozenset({tag_for_keyword(_ISSUER) or 0})
# Of an item of the sequence (PS3.3 table 10-17): the issuer's name or its universal identifier.
_NAMES: Final = ("LocalNamespaceEntityID", "UniversalEntityID")


class IssuerMatch(StrEnum):
    """What the headers of a study say about an issuer; the value is shown to a person."""

    STATED = "of this issuer"
    OTHER = "of another issuer"
    SILENT = "the images name no issuer"
    CONFLICT = "some images name this issuer, others another one"
    UNKNOWN = "issuer unknown: not every image could be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A study with the accession number of a link.

    Attributes:
        match: What its headers say about the issuer; None for a link without issuer.
    """

    identity: StudyIdentity
    match: IssuerMatch | None = None

    @property
    def is_sure(self) -> bool:
        """Whether nothing speaks against opening it if it is the only one."""
        return self.match in {None, IssuerMatch.STATED}


def of_issuer(store: Store, studies: Sequence[StudyIdentity], issuer: str) -> list[Candidate]:
    """Return the studies that state an issuer; without one, those that do not state another one.

    Accession numbers are unique within their issuer only, so the same number of another issuer is of
    another patient. Not knowing an issuer is not the same as having none, and neither is a match.

    Args:
        store: The store.
        studies: The studies with the accession number.
        issuer: The issuer of the link; "" to accept every study.
    """
    if not issuer:
        return [Candidate(identity=each) for each in studies]
    found = [
        Candidate(identity=each, match=issuer_match(store.instances(each.study_uid), issuer))
        for each in studies
    ]
    stated = [each for each in found if each.match is IssuerMatch.STATED]
    return stated or [each for each in found if each.match is not IssuerMatch.OTHER]


def issuer_match(instances: Sequence[ReceivedInstance], issuer: str) -> IssuerMatch:
    """Return what the headers of a study's Instances say about an issuer.

    Args:
        instances: All Instances of the study; a conflict is stored apart and says nothing about it.
        issuer: The name or the universal identifier of an issuer.
    """
    kept = [each for each in instances if not each.conflict]
    read = [_named(each) for each in kept[:_MOST_HEADERS]]
    has_it = {issuer in names for stated in read if stated for names in stated}
    if has_it:
        if has_it == {True, False}:
            return IssuerMatch.CONFLICT
        return IssuerMatch.STATED if has_it == {True} else IssuerMatch.OTHER
    is_complete = bool(kept) and len(kept) == len(read) and None not in read
    return IssuerMatch.SILENT if is_complete else IssuerMatch.UNKNOWN


def _named(instance: ReceivedInstance) -> Sequence[frozenset[str]] | None:
    """Return the names of each issuer that a header states; None if it cannot be read."""
    try:
        header = read_header(instance.path, only=_ISSUER_TAG, strict=False)
    except (DicomError, OSError):
        return None
    items = header.get(_ISSUER) or ()
    stated = [frozenset(str(item.get(name) or "").strip() for name in _NAMES) for item in items]
    return [names - {""} for names in stated if names - {""}]
