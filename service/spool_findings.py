"""The findings of a check of spool and outbox, with their texts. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What is wrong with a file or a row."""

    UNKNOWN_IMAGE = "unknown_film"
    UNSOUND_FILE = "unsound_file"
    STRAY_COPY = "stray_copy"
    MISPLACED_IMAGE = "misplaced_film"
    LOST_IMAGE = "lost_film"
    DAMAGED_IMAGE = "damaged_film"
    SOUND_COPY = "sound_copy"
    LEFTOVER = "leftover"
    ORPHANED_LEVELS = "orphaned_levels"
    HELD_LOCK = "held_lock"
    UNKNOWN_RESULT = "unknown_result"
    LOST_RESULT = "lost_result"

    @property
    def sentence(self) -> str:
        """Return the meaning as a sentence for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Kind.UNKNOWN_IMAGE: "A complete image without a database row; its sender received no Success.",
    Kind.UNSOUND_FILE: "A file that is not a complete image, or not written by Wetread.",
    Kind.STRAY_COPY: "A second copy of an image whose own file is in its place.",
    Kind.MISPLACED_IMAGE: "An acknowledged image whose file is not at the path in the database.",
    Kind.LOST_IMAGE: "An acknowledged image that is not on the disk.",
    Kind.DAMAGED_IMAGE: "An acknowledged image whose bytes have changed since it arrived.",
    Kind.SOUND_COPY: "An intact copy of an acknowledged image whose own file has changed.",
    Kind.LEFTOVER: "A temporary file of an interrupted reception.",
    Kind.ORPHANED_LEVELS: "Levels for the viewer whose image is no longer in the spool.",
    Kind.HELD_LOCK: "A lock that a process has held for long: a receiver may hang.",
    Kind.UNKNOWN_RESULT: "Results of a job that the database does not know.",
    Kind.LOST_RESULT: "A result that is still to be delivered and whose file is missing or changed.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledRow:
    """The row of an Instance; `is_removed` if its file was removed or given up as lost."""

    id: int
    study_instance_uid: str
    sop_instance_uid: str
    digest: str
    size: int
    path: Path
    is_removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRow:
    """The row of a result object that is not yet delivered to every destination."""

    id: int
    job_id: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFinding:
    """One fault in spool or outbox.

    Attributes:
        path: The file; None if there is none.
        study_uid: The Study Instance UID of the Instance, if known.
        sop_uid: The SOP Instance UID, if known.
        detail: The consequence, as text without patient attributes, or "".
        repaired: What was done about it, as text; "" if nothing was done.
    """

    kind: Kind
    path: Path | None = None
    study_uid: str = ""
    sop_uid: str = ""
    detail: str = ""
    repaired: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON values, for `--json`."""
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
    """The counts of a check.

    Attributes:
        files: Files in the spool's folders.
        image_bytes: Their total size in bytes.
        rows: Rows of Instances whose file should exist.
        young: Files skipped because they changed recently.
        found: The number of findings of each kind.
        repaired: The number of repaired findings.
    """

    files: int = 0
    image_bytes: int = 0
    rows: int = 0
    young: int = 0
    found: dict[Kind, int] = field(default_factory=dict)
    repaired: int = 0

    def count(self, finding: SpoolFinding) -> None:
        """Count a finding."""
        self.found[finding.kind] = self.found.get(finding.kind, 0) + 1
        self.repaired += bool(finding.repaired)

    @property
    def left(self) -> int:
        """The number of findings that were not repaired."""
        return sum(self.found.values()) - self.repaired
