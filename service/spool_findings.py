"""What a look at spool and outbox can find, in words; pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What is wrong with a file or a row."""

    UNKNOWN_FILM = "unknown_film"
    UNSOUND_FILE = "unsound_file"
    STRAY_COPY = "stray_copy"
    MISPLACED_FILM = "misplaced_film"
    LOST_FILM = "lost_film"
    DAMAGED_FILM = "damaged_film"
    SOUND_COPY = "sound_copy"
    LEFTOVER = "leftover"
    HELD_LOCK = "held_lock"
    UNKNOWN_RESULT = "unknown_result"
    LOST_RESULT = "lost_result"

    @property
    def sentence(self) -> str:
        """Return what it means, for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Kind.UNKNOWN_FILM: "A whole film that the database does not know; its sender heard no Success.",
    Kind.UNSOUND_FILE: "A file that is not a whole film, or not one of ours.",
    Kind.STRAY_COPY: "A second copy of a film that lies where it should.",
    Kind.MISPLACED_FILM: "An acknowledged film that lies elsewhere than the database says.",
    Kind.LOST_FILM: "An acknowledged film that is not on the disk.",
    Kind.DAMAGED_FILM: "An acknowledged film whose bytes are not those that arrived.",
    Kind.SOUND_COPY: "A whole copy of an acknowledged film whose own bytes are not those that arrived.",
    Kind.LEFTOVER: "What an interrupted reception left.",
    Kind.HELD_LOCK: "A lock that somebody holds for long: a receiver may hang.",
    Kind.UNKNOWN_RESULT: "Results of a job that the database does not know.",
    Kind.LOST_RESULT: "A result that is still to be delivered and is not on the disk as it was made.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledRow:
    """A film as its row has it; `is_removed` when retention has removed its file."""

    id: int
    study_instance_uid: str
    sop_instance_uid: str
    digest: str
    size: int
    path: Path
    is_removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRow:
    """A result that a destination still waits for, as its row has it."""

    id: int
    job_id: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFinding:
    """One thing that is wrong.

    Attributes:
        path: The file; None where there is none.
        study_uid: Of the film, where it is known.
        sop_uid: Of the film, where it is known.
        detail: What follows from it, a sentence without patient attributes, or "".
        repaired: What was done about it, a sentence; "" when nothing was.
    """

    kind: Kind
    path: Path | None = None
    study_uid: str = ""
    sop_uid: str = ""
    detail: str = ""
    repaired: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it for programs."""
        return {
            "kind": self.kind.value,
            "path": str(self.path or ""),
            "study_instance_uid": self.study_uid,
            "sop_instance_uid": self.sop_uid,
            "meaning": self.kind.sentence,
            "detail": self.detail,
            "repaired": self.repaired,
        }


@dataclass(slots=True)
class Tally:
    """What was looked at, and what came of it.

    Attributes:
        files: Files of films.
        film_bytes: Their size.
        rows: Rows of films whose file should be there.
        young: Files passed over because they came a moment ago.
        found: How many findings of each kind.
        repaired: How many of them were repaired.
    """

    files: int = 0
    film_bytes: int = 0
    rows: int = 0
    young: int = 0
    found: dict[Kind, int] = field(default_factory=dict)
    repaired: int = 0

    def count(self, finding: SpoolFinding) -> None:
        """Take a finding into account."""
        self.found[finding.kind] = self.found.get(finding.kind, 0) + 1
        self.repaired += bool(finding.repaired)

    @property
    def left(self) -> int:
        """How many findings were not repaired."""
        return sum(self.found.values()) - self.repaired
