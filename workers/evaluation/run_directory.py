"""The folder of an evaluation: its manifest, the drafts made so far, and who may write there.

A draft is appended and synced before the next one counts, so that a killed run goes on where it was. The
folder holds report text: only its owner may enter it.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from service.assessment.file_names import (
    CELLS,
    CHECKLIST,
    DRAFTS,
    ERRORS,
    IMAGES,
    MANIFEST,
    METRICS,
    PAIRS,
    PER_STUDY,
    REPORT,
    SUBGROUPS,
)
from workers.evaluation.faults import InputFaults

_LOCK: Final = ".lock"
_OURS: Final = frozenset(
    {
        MANIFEST,
        DRAFTS,
        PER_STUDY,
        METRICS,
        SUBGROUPS,
        CHECKLIST,
        ERRORS,
        REPORT,
        PAIRS,
        IMAGES,
        _LOCK,
    }
    | {"judge.jsonl", "judge.json", "judge_probe.json", "judge_validation.json", CELLS}
)
_DIGEST: Final = "inputs_digest"
_OTHER: Final = (
    "{folder}: holds an evaluation of other studies, another model or other reading settings; choose a "
    "new folder"
)


class RunDirectory:
    """The folder of one evaluation, locked until it is closed."""

    def __init__(self, folder: Path, digest: str, lock: int) -> None:
        self.folder = folder
        self._digest = digest
        self._lock = lock
        self.manifest: dict[str, Any] = {}
        self.finished: dict[str, dict[str, Any]] = {}

    @classmethod
    def opened(cls, folder: Path, digest: str) -> Self:
        """Create or open the folder; read what an earlier run left.

        Args:
            folder: DIR.
            digest: Of all that decides what the drafts say.

        Raises:
            InputFaults: It holds other files, another evaluation, or another process writes to it.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = sorted(each.name for each in folder.iterdir() if each.name not in _OURS)
        if foreign and not (folder / MANIFEST).exists():
            raise InputFaults([f"{folder}: holds other files ({foreign[0]}); choose a new folder"])
        folder.chmod(0o700)
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise InputFaults([f"{folder}: another evaluation writes to it"]) from error
        run = cls(folder, digest, lock)
        try:
            run._resume()
        except InputFaults:
            run.close()
            raise
        return run

    def _resume(self) -> None:
        path = self.folder / MANIFEST
        if path.exists():
            try:
                self.manifest = json.loads(path.read_text(encoding="utf-8"))
                known = self.manifest[_DIGEST]
            except (ValueError, KeyError, TypeError) as error:
                raise InputFaults([f"{path}: not readable; remove the folder"]) from error
            if known != self._digest:
                raise InputFaults([_OTHER.format(folder=self.folder)])
        self.finished = {row["id"]: row for row in read_drafts(self.folder)}

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest, with what it had and these facts."""
        self.manifest = {**self.manifest, **facts, _DIGEST: self._digest}
        text = json.dumps(self.manifest, indent=1, sort_keys=True, ensure_ascii=False)
        self.write_text(MANIFEST, text + "\n")

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a study's draft and sync it; the study is finished from then on."""
        line = json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"
        with (self.folder / DRAFTS).open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.finished[row["id"]] = dict(row)

    def write_text(self, name: str, text: str) -> Path:
        """Write a file of the folder as a whole: a reader sees the old one or the new one."""
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        return path

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file that is made again where it is missing: a picture, a text of a pair."""
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def close(self) -> None:
        """Let another process write here."""
        os.close(self._lock)


def read_drafts(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of `drafts.jsonl`; cut off a last line that a killed process left unfinished."""
    path = folder / DRAFTS
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    rows = []
    for number, line in enumerate(content[:whole].splitlines(), start=1):
        try:
            row = json.loads(line)
            row["id"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputFaults([f"{path} line {number}: not readable; remove the folder"]) from error
        rows.append(row)
    return rows
