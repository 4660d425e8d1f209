"""Records of the search for similar studies: vectors of images, and hits in texts."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from dicom.content.report import STATED, Finding, Observation, Presence, Side


@dataclass(frozen=True)
class ImageVector:
    """The vector of one image. It is patient data: it is never logged, and never sent to the broker.

    Attributes:
        space: Name of the vector space: method and weights. Only vectors of one space compare.
        content: float32 [D], little endian, of length 1.
    """

    space: str
    content: bytes = field(repr=False)

    @cached_property
    def crc32(self) -> int:
        """The checksum of the content."""
        return zlib.crc32(self.content)


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A row of a file of vectors.

    Attributes:
        row: Its number in the file, from 0.
        study_uid: Study Instance UID; "" if the row is free.
        image_uid: SOP Instance UID; "" if the row is free.
        crc32: Checksum of its content.
        change: Number of its latest change, increasing in its space.
    """

    row: int
    study_uid: str
    image_uid: str
    crc32: int
    change: int


class TextSource(StrEnum):
    """Which text a hit is in."""

    DRAFT = "draft"
    FINAL_REPORT = "final report"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFinding:
    """A finding that a search asks for, with its presence and, if stated, its side."""

    observation: Observation
    presence: Presence
    side: Side | None = None

    def __str__(self) -> str:
        """Return it in words: "left pleural effusion: present"."""
        side = f"{self.side.value} " if self.side else ""
        return f"{side}{self.observation.value}: {self.presence.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextHit:
    """A study whose draft or final report matches a search.

    Attributes:
        rank: The database's score of the words, higher is better; 0 if only findings matched.
    """

    study_uid: str
    job_id: str
    source: TextSource
    rank: float


def label_words(findings: Iterable[Finding | WantedFinding]) -> str:
    """Return findings in the form that the search filters by: "|edema=present|edema=present=left|".

    A bilateral finding is found by either side.
    """
    parts = [part for each in findings if each.presence in STATED for part in _label_parts(each)]
    return f"|{'|'.join(parts)}|" if parts else ""


def wanted_words(wanted: WantedFinding) -> tuple[str, ...]:
    """Return parts of `label_words` of which a study with the wanted finding has one, the best first.

    A finding that is asked for as present is also found where it is called possible.
    """
    presences = [wanted.presence]
    if wanted.presence is Presence.PRESENT:
        presences.append(Presence.UNCERTAIN)
    each = (replace(wanted, presence=presence) for presence in presences)
    return tuple(f"|{_label_parts(one)[-1]}|" for one in each)


def _label_parts(finding: Finding | WantedFinding) -> list[str]:
    base = f"{finding.observation.value}={finding.presence.value}"
    if finding.side is None:
        return [base]
    sides = [*Side] if finding.side is Side.BILATERAL else [finding.side]
    # The stated side last.
    sides = sorted(sides, key=lambda side: side is finding.side)
    return [base, *(f"{base}={side.value}" for side in sides)]
