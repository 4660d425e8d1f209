"""Compares spool and outbox with the database, both ways, while the service runs.

    file ──its name: SOP Instance UID and hash──▶ row        no row: unknown, unsound, a stray copy
    row  ──its path──────────────────────────────▶ file       no file: lost; other bytes: damaged

Both sides are read in batches, so memory does not grow with their number. A receiver renames a file to
its final name before it commits the row, so files that changed recently are skipped. A suspected fault
is checked again under the Instance's lock: a receiver holds it from the file to the row, retention from
the file's removal to the mark in the row.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from dicom.errors import DicomError
from dicom.spool.spool import Spool, data_set_size, has_digest
from service.database.pieces import pieces
from service.jobs import FINAL, JobState
from service.sentence import ended
from service.settings.config import Settings
from service.spool_findings import Kind, MadeRow, SpooledRow, SpoolFinding, Tally
from service.store import Store
from service.system.spool_walk import (
    SpooledFile,
    files_called,
    held_locks,
    leftovers,
    orphaned_levels,
    outbox_folders,
    spooled_files,
)

_PIECE: Final = 500
_LOCK_SECONDS: Final = 2.0
_JOBS_NAMED: Final = 3


class Repair(Protocol):
    """Repairs a finding (`service.maintenance.spool_repair.Repairs`)."""

    def __call__(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        """Return the finding with what was done about it; for an Instance called under its lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How thorough a check is.

    Attributes:
        hashes: Read every file and compare its hash, not only its length.
        young_seconds: Skip files changed within this time: their rows may not be committed yet.
    """

    hashes: bool = False
    young_seconds: float = 600.0


class SpoolCheck:
    """One check of spool and outbox; `tally` is complete once `findings` is exhausted."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        scope: Scope,
        repair: Repair | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what is compared, and the repair of findings; without it they are only reported."""
        self.tally = Tally()
        self._store = store
        self._outbox = settings.outbox_dir
        self._spool = Spool(settings.spool_dir)
        self._scope = scope
        self._repair = repair
        self._before = clock() - scope.young_seconds
        # Rows whose file was found at another path: `_rows` must not report it as lost, too.
        self._misplaced: set[int] = set()

    def findings(self) -> Iterator[SpoolFinding]:
        """Yield each fault as it is found, repaired if that was requested and possible.

        Raises:
            StoreUnavailable: The database cannot be used now.
            OSError: The disk cannot be read.
            OutOfResources: A lock file cannot be opened.
        """
        steps = (self._files(), self._rows(), self._temporary(), self._locks(), self._results())
        for step in steps:
            for finding in step:
                self.tally.count(finding)
                yield finding

    def _files(self) -> Iterator[SpoolFinding]:
        for piece in pieces(spooled_files(self._spool.root)):
            names = {each.name for each in piece if each.name is not None}
            rows = self._store.instances_named(names) if names else {}
            for file in piece:
                self.tally.files += 1
                self.tally.image_bytes += file.size
                row = rows.get(file.name) if file.name else None
                if row is None or row.is_removed or self._is_wrong(file, row):
                    finding = self._check_again(file)
                    if finding is not None:
                        yield finding

    def _is_wrong(self, file: SpooledFile, row: SpooledRow) -> bool:
        return file.path != row.path or not self._is_whole(file.path, row)

    def _is_whole(self, path: Path, row: SpooledRow) -> bool:
        if self._scope.hashes:
            return has_digest(path, row.digest)
        try:
            return data_set_size(path) == row.size
        except FileNotFoundError:  # retention has removed it meanwhile, or it never existed
            return False

    def _check_again(self, file: SpooledFile) -> SpoolFinding | None:
        """Check a file again under its lock; return what is wrong with it, or None."""
        if file.changed > self._before:
            self.tally.young += 1
            return None
        with self._spool.uid_lock(file.name[0] if file.name else ""):
            if not file.path.exists():
                return None  # retention has removed it meanwhile
            row = self._row_of(file)
            kind = self._kind(file, row)
            if kind is None:
                return None
            if kind is Kind.MISPLACED_IMAGE and row is not None:
                self._misplaced.add(row.id)
            return self._repaired(self._finding(kind, file.path, row), row)

    def _row_of(self, file: SpooledFile) -> SpooledRow | None:
        if file.name is None:
            return self._store.instance_at(file.path)
        named = self._store.instances_named([file.name]).get(file.name)
        return named or self._row_of_other_algorithm(file.path, *file.name)

    def _row_of_other_algorithm(self, path: Path, uid: str, digest: str) -> SpooledRow | None:
        """Return the file's row if its digest is of another algorithm than that in the file's name."""
        rows = self._store.instances_of_other_digest(uid, digest)
        return next((row for row in rows if has_digest(path, row.digest)), None)

    def _kind(self, file: SpooledFile, row: SpooledRow | None) -> Kind | None:
        """Return what is wrong with a file, or None."""
        if row is None or row.is_removed:
            is_image = file.name is not None and has_digest(file.path, file.name[1])
            return Kind.UNKNOWN_IMAGE if is_image else Kind.UNSOUND_FILE
        if _is_one_file(file.path, row.path):
            return self._own_file(row)
        whole = has_digest(file.path, row.digest)
        if not row.path.exists():
            return Kind.MISPLACED_IMAGE if whole else Kind.UNSOUND_FILE
        damaged = whole and not has_digest(row.path, row.digest)
        return Kind.SOUND_COPY if damaged else Kind.STRAY_COPY

    def _own_file(self, row: SpooledRow) -> Kind | None:
        """Return whether the file that a row names is damaged.

        None if a sound copy exists elsewhere in the spool: the copy is then reported, as SOUND_COPY.
        """
        if self._is_whole(row.path, row):
            return None
        others = (
            path
            for path in files_called(self._spool.root, row.path.name)
            if not _is_one_file(path, row.path)
        )
        copied = any(has_digest(path, row.digest) for path in others)
        return None if copied else Kind.DAMAGED_IMAGE

    def _rows(self) -> Iterator[SpoolFinding]:
        last = 0
        while piece := self._store.instances_after(last, limit=_PIECE):
            last = piece[-1].id
            self.tally.rows += len(piece)
            for row in piece:
                if row.id not in self._misplaced and not row.path.exists():
                    finding = self._look_for(row)
                    if finding is not None:
                        yield finding

    def _look_for(self, row: SpooledRow) -> SpoolFinding | None:
        """Return a finding if the file is lost; None if retention removed it or it came meanwhile."""
        with self._spool.uid_lock(row.sop_instance_uid):
            name = (row.sop_instance_uid, row.digest)
            now = self._store.instances_named([name]).get(name)
            if now is None or now.is_removed or now.path.exists():
                return None
            return self._repaired(self._finding(Kind.LOST_IMAGE, now.path, now), now)

    def _temporary(self) -> Iterator[SpoolFinding]:
        for path in leftovers(self._spool.root, self._before):
            yield self._repaired(SpoolFinding(kind=Kind.LEFTOVER, path=path))
        for path in orphaned_levels(self._spool.root, self._before):
            yield self._repaired(SpoolFinding(kind=Kind.ORPHANED_LEVELS, path=path))

    def _locks(self) -> Iterator[SpoolFinding]:
        for path in held_locks(self._spool.root, _LOCK_SECONDS):
            yield SpoolFinding(kind=Kind.HELD_LOCK, path=path, detail="Restart the receivers.")

    def _results(self) -> Iterator[SpoolFinding]:
        for piece in pieces(outbox_folders(self._outbox)):
            known = self._store.known_jobs([path.name for path in piece])
            for path in piece:
                if path.name not in known:
                    yield self._repaired(SpoolFinding(kind=Kind.UNKNOWN_RESULT, path=path))
        last = 0
        while made := self._store.unsent_after(last, limit=_PIECE):
            last = made[-1].id
            for result in made:
                if not self._is_as_made(result):
                    detail = f"Job {result.job_id[:8]} cannot be delivered: cancel it and retry it."
                    yield SpoolFinding(kind=Kind.LOST_RESULT, path=result.path, detail=detail)

    def _is_as_made(self, result: MadeRow) -> bool:
        if not self._scope.hashes:
            return result.path.exists()
        try:
            content = result.path.read_bytes()
        except FileNotFoundError:
            return False
        return hashlib.sha256(content).hexdigest() == result.sha256

    def _finding(self, kind: Kind, path: Path, row: SpooledRow | None) -> SpoolFinding:
        if row is None:
            return SpoolFinding(kind=kind, path=path)
        detail = ""
        if kind in {Kind.LOST_IMAGE, Kind.DAMAGED_IMAGE}:
            detail = _consequence(self._store.job_states(row.study_instance_uid))
        return SpoolFinding(
            kind=kind,
            path=path,
            study_uid=row.study_instance_uid,
            sop_uid=row.sop_instance_uid,
            detail=detail,
        )

    def _repaired(self, finding: SpoolFinding, row: SpooledRow | None = None) -> SpoolFinding:
        if self._repair is None:
            return finding
        try:
            return self._repair(finding, row)
        except (OSError, DicomError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            failure = f"It could not be repaired: {ended(str(reason))}"
            return replace(finding, detail=f"{finding.detail} {failure}".strip())


def _is_one_file(path: Path, known: Path) -> bool:
    """Return whether both name one file: after a move, the spool's old path may be a symbolic link."""
    return path == known or (known.exists() and known.samefile(path))


def _consequence(jobs: list[tuple[str, JobState]]) -> str:
    """Return what a missing Instance means for the jobs of its Study, as text."""
    if not jobs:
        return "No job was made for it. Have its sender send it again."
    waiting = [job_id for job_id, state in jobs if state not in FINAL]
    unread = [job_id for job_id in waiting if dict(jobs)[job_id] is not JobState.DRAFTED]
    if unread:
        return f"It cannot be read by {_named(unread)}. Have its sender send it again."
    if waiting:
        return f"The draft of {_named(waiting)} is made and will be delivered."
    return f"The outcome of {_named([job_id for job_id, _ in jobs])} is not affected."


def _named(job_ids: list[str]) -> str:
    names = ", ".join(job_id[:8] for job_id in job_ids[:_JOBS_NAMED])
    more = f" and {len(job_ids) - _JOBS_NAMED} more" if len(job_ids) > _JOBS_NAMED else ""
    return f"job {names}{more}"
