"""Removes the files of old Instances and results; their rows and history stay.

If the disk fills up, files are removed before their age, but never before every destination has
confirmed the results of their Study.
"""

import errno
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from dicom.errors import OutOfResources
from dicom.spool.levels_file import remove_levels
from dicom.spool.spool import Spool
from dicom.study import Instance
from service.errors import StoreUnavailable
from service.log import get_logger
from service.monitoring.background import Task
from service.records import IncidentKind
from service.search.vector_file import VectorFiles
from service.settings.config import Settings
from service.store import Store
from service.system.spool_walk import holds_folders, is_own_folder

log = get_logger(__name__)

_AGAIN_AFTER: Final = timedelta(hours=1)
_EARLY_AT_ONCE: Final = 20
_EXPECTED: Final = (OSError, OutOfResources, StoreUnavailable)
# The errors of rmdir for a folder that is not empty, depending on the file system.
_NOT_EMPTY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})


class Retention:
    """Removes the files of old Studies; several processes may do so at once.

    A file is removed before its row is marked: a crash between the steps is retried on the next run.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._vectors = VectorFiles(settings.data_dir)
        self._put_off: dict[str, datetime] = {}
        self._undecided: list[str] = []

    def remove_old(self, now: datetime) -> int:
        """Remove the files of Studies that ended `sweep.retention_days` ago; return how many Studies.

        A Study with a waiting job, with results that wait for a destination, or with a draft that awaits
        a decision and is younger than `sweep.undecided_days`, keeps all its files. If
        its files cannot be removed, an incident is recorded and the Study is skipped for an hour.

        Raises:
            StoreUnavailable: The database cannot be used now; the next run marks the removed files.
            OSError: The spool cannot be used at all; nothing was removed.
        """
        days = self._settings.sweep.retention_days
        reason = _Reason(
            before=now - timedelta(days=days),
            undecided_before=self._undecided_before(now),
            sentence=f"Ended more than {days:g} days ago: its files were removed.",
        )
        return self._remove_all(now, reason)

    def _undecided_before(self, now: datetime) -> datetime | None:
        """Return the time before which a draft's job must be made to lose its images undecided."""
        days = self._settings.sweep.undecided_days
        return now - timedelta(days=days) if days else None

    def remove_early(self, now: datetime) -> int:
        """Remove the files of the oldest Studies whose results are all confirmed; return their number.

        One call removes 20 Studies at most; call it again for more room.

        Raises:
            StoreUnavailable: The database cannot be used now; the next run marks the removed files.
            OSError: The spool cannot be used at all; nothing was removed.
        """
        sentence = (
            "The disk is nearly full and every destination has its results: its files were removed."
        )
        reason = _Reason(
            before=now, undecided_before=self._undecided_before(now), sentence=sentence, early=True
        )
        return self._remove_all(now, reason, at_once=_EARLY_AT_ONCE)

    def _remove_all(self, now: datetime, why: "_Reason", at_once: int = 100) -> int:
        self._put_off = {study: until for study, until in self._put_off.items() if until > now}
        faults = []
        studies = self._store.removable(
            why.before,
            excluding=list(self._put_off),
            limit=at_once,
            confirmed=why.early,
            undecided_before=why.undecided_before,
        )
        if not studies:
            return 0
        spool = Spool(self._settings.spool_dir)
        for study_uid in studies:
            if reason := self._tried(study_uid, why, spool):
                log.error("files_not_removed", study_uid=study_uid, reason=reason)
                self._put_off[study_uid] = now + _AGAIN_AFTER
                faults.append((study_uid, reason))
        if faults:
            self._report(faults)
        if self._undecided:
            self._report_undecided()
        return len(studies) - len(faults)

    def _tried(self, study_uid: str, why: "_Reason", spool: Spool) -> str:
        """Remove the files of a Study; return why that failed, or ""."""
        task = Task("remove the files of a study", passed_on=_EXPECTED)
        try:
            done = task.attempt(partial(self._remove, study_uid, why, spool))
        except OSError as error:
            return error.strerror or type(error).__name__
        except OutOfResources as error:
            return str(error)
        return "" if done else "an error in this program, which is in the log"

    def _report(self, faults: list[tuple[str, str]]) -> None:
        study_uid, reason = faults[0]
        others = f", nor those of {len(faults) - 1} other studies" if len(faults) > 1 else ""
        self._store.record_incident(
            actor="sweeper",
            kind=IncidentKind.FILES_NOT_REMOVED,
            subject=study_uid,
            detail=f"Its old files could not be removed ({reason}){others}. "
            "The sweeper tries again in an hour.",
        )

    def _report_undecided(self) -> None:
        """Record that drafts can no longer be accepted, because their images were removed."""
        days, count = self._settings.sweep.undecided_days, len(self._undecided)
        drafts = "1 draft" if count == 1 else f"{count} drafts"
        limit = f"they were older than sweep.undecided_days = {days:g}" if days else "it is 0"
        self._store.record_incident(
            actor="sweeper",
            kind=IncidentKind.UNDECIDED_REMOVED,
            subject=self._undecided[0],
            detail=f"The images of {drafts} that awaited a decision were removed; {limit}. Such a draft "
            "can be rejected only. `wetread audit list` names each study.",
        )
        log.warning("undecided_removed", drafts=count)
        self._undecided.clear()

    def _remove(self, study_uid: str, why: "_Reason", spool: Spool) -> None:
        for image in self._store.spooled(study_uid):
            # The receiver holds this lock from the file to the row: no file is removed in between.
            with spool.uid_lock(image.sop_instance_uid):
                if not self._is_removable(study_uid, why):
                    return
                self._check_mounted(study_uid, image, spool.root)
                # First: while the image's row is not marked, a crash repeats all of this.
                self._store.drop_vectors(image.sop_instance_uid, self._vectors.clear)
                remove_image(image.path, spool.root.resolve())
                self._store.mark_instance_removed(image)
        # Before the jobs are marked: a crash repeats this, too.
        self._remove_texts(study_uid)
        for job in self._store.jobs(study=study_uid, limit=10_000):
            if job.removed_at is None and self._is_removable(study_uid, why):
                remove_tree(self._settings.outbox_dir / job.id)
                if self._store.removed(job.id, why.sentence):
                    self._undecided.append(study_uid)
        self._store.remove_identity(study_uid)  # last, because audit records name the patient
        log.info("files_removed", study_uid=study_uid, early=why.early)

    def _remove_texts(self, study_uid: str) -> None:
        for image_uid in self._store.orphaned_vectors(study_uid):  # of files that were lost
            self._store.drop_vectors(image_uid, self._vectors.clear)
        self._store.remove_shadow_readings(study_uid)
        self._store.forget_report_texts(study_uid)
        self._store.remove_questions(study_uid)
        self._store.remove_search_texts(study_uid)
        self._store.forget_reader_study_texts(study_uid)

    def _check_mounted(self, study_uid: str, image: Instance, root: Path) -> None:
        """Raise FileNotFoundError if neither the file nor any spool folder exists.

        The disk may not be mounted; a row marked now would leave its file on the disk forever.
        """
        if image.path.exists() or holds_folders(root):
            return
        if image in self._store.spooled(study_uid):  # no other sweeper has removed it meanwhile
            raise FileNotFoundError(errno.ENOENT, "no image is there: is the spool's disk mounted?")

    def _is_removable(self, study_uid: str, why: "_Reason") -> bool:
        return self._store.is_removable(
            study_uid,
            why.before,
            confirmed=why.early,
            undecided_before=why.undecided_before,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reason:
    """Why files are removed: the Study ended `before`; if `early`, every destination has its results.

    A draft that awaits a decision keeps the files if its job was made at `undecided_before` or later.
    """

    before: datetime
    undecided_before: datetime | None
    sentence: str
    early: bool = False


def remove_image(path: Path, root: Path) -> None:
    """Remove the file of an Instance, what was made of it, and a folder that is left empty.

    Raises:
        OSError: The file cannot be removed.
    """
    path = path.resolve()
    # The database names the path, but only a file inside the spool may be removed.
    if path.is_relative_to(root):
        path.unlink(missing_ok=True)
        remove_levels(path)  # afterwards: none are written where the image is gone
        _remove_if_empty(path.parent, root)


def _remove_if_empty(folder: Path, root: Path) -> None:
    """Remove an empty folder that is not one of the spool's own; those would only be created again."""
    while folder != root and not is_own_folder(folder, root):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # another sweeper has removed it, or this one before a crash
        except OSError as error:
            if error.errno in _NOT_EMPTY:
                return
            raise
        folder = folder.parent


def remove_tree(folder: Path) -> None:
    """Remove a folder with its content, even while another sweeper removes it too.

    Raises:
        OSError: A file or folder cannot be removed.
    """
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
