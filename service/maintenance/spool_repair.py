"""Repairs faults in spool and outbox; deletes nothing but temporary files and orphaned levels.

The files of Instances are repaired under the Instance's lock.
"""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydicom.dataset import FileMetaDataset

from dicom.errors import DatasetMismatch, DicomError
from dicom.parsing.header import Identity, check_identity, read_header
from dicom.spool.spool import Spool, data_set_size, parse_file_name
from dicom.study import Instance
from service.log import get_logger
from service.receiver.intake import Intake
from service.settings.config import Settings
from service.spool_findings import Kind, SpooledRow, SpoolFinding
from service.store import Store
from service.system.spool_walk import QUARANTINE, holds_folders

_ACTOR: Final = "spool verify"

log = get_logger(__name__)


class Repairs:
    """Repairs findings: a `service.maintenance.spool_check.Repair`."""

    def __init__(self, store: Store, settings: Settings, intake: Intake) -> None:
        """Take the store, the settings, and the intake that records an Instance without a row."""
        self._store = store
        self._settings = settings
        self._intake = intake
        self._spool = Spool(settings.spool_dir)
        self._ways = {
            Kind.UNKNOWN_IMAGE: self._adopt,
            Kind.UNSOUND_FILE: self._set_aside,
            Kind.STRAY_COPY: self._set_aside,
            Kind.MISPLACED_IMAGE: self._relink,
            Kind.LOST_IMAGE: self._give_up,
            Kind.DAMAGED_IMAGE: self._give_up,
            Kind.SOUND_COPY: self._restore,
            Kind.LEFTOVER: self._discard,
            Kind.ORPHANED_LEVELS: self._discard,
            Kind.UNKNOWN_RESULT: self._set_aside,
        }

    def __call__(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        """Return the finding with what was done about it.

        Raises:
            StoreUnavailable: The database cannot be used now.
            OSError: A file cannot be moved or read; the fault stays.
            DicomError: The file of an Instance cannot be read as DICOM; the fault stays.
        """
        way = self._ways.get(finding.kind)
        done = way(finding, row) if way else finding
        if done.repaired:
            log.warning("spool_repaired", kind=finding.kind.value, repaired=done.repaired)
        return done

    def _adopt(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        """Record an intact Instance as if it had just arrived; set an unreadable one aside.

        Its sender received no Success, so it will send the Instance again or has done so.
        """
        path = _path(finding)
        try:
            header = read_header(path, strict=False)
            instance = self._in_place(path, check_identity(header), header.file_meta)
        except DicomError:
            return self._set_aside(finding, row)
        calling = str(header.file_meta.get("SourceApplicationEntityTitle", "")).strip()
        arrival = self._intake.instance_arrived(
            instance, header, calling_ae=calling, association_id=f"verify-{uuid.uuid4().hex}"
        )
        return replace(
            finding,
            study_uid=instance.study_instance_uid,
            sop_uid=instance.sop_instance_uid,
            repaired=f"Adopted as an image from {calling or 'an unknown calling AE'} ({arrival.value}).",
        )

    def _in_place(self, path: Path, identity: Identity, meta: FileMetaDataset) -> Instance:
        """Move a file to the place of its name in the spool; return its Instance.

        Raises:
            DatasetMismatch: The name holds another SOP Instance UID than the header.
        """
        uid, digest = parse_file_name(path.name) or ("", "")
        if identity.sop_instance_uid != uid:
            raise DatasetMismatch("the file name belongs to another Instance")
        target = self._moved(path, self._spool.path_of(identity, digest))
        return identity.instance(
            target,
            digest=digest,
            size=data_set_size(target),
            transfer_syntax_uid=str(meta.get("TransferSyntaxUID", "")),
        )

    def _moved(self, path: Path, target: Path) -> Path:
        if path != target:
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
            self._spool.sync_names([target, path])
        return target

    def _relink(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        """Move the file to the place of its name in the spool, and update the row's path."""
        path = _path(finding)
        if row is not None:
            instance = self._in_place(
                path, check_identity(header := read_header(path, strict=False)), header.file_meta
            )
            self._store.set_instance_path(row, instance.path)
        return replace(finding, repaired="The database has its current path again.")

    def _restore(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        """Replace the row's damaged file by an intact copy; set the damaged one aside."""
        if row is None:
            return finding
        aside = self._aside(row.path)
        self._relink(finding, row)
        done = f"It is now the image's file; the damaged one is {aside.name} in {aside.parent}."
        return replace(finding, repaired=done)

    def _give_up(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        """Mark the row as removed, so that the Instance is stored as new when it is sent again."""
        if finding.kind is Kind.LOST_IMAGE and not holds_folders(self._spool.root):
            absent = "The spool has no folders: is its disk mounted? Not repaired."
            return replace(finding, detail=f"{finding.detail} {absent}")
        detail = f"{finding.kind.sentence} {finding.detail}"
        done = "Recorded as an incident; if it is sent again, it is stored as a new image."
        if finding.kind is Kind.DAMAGED_IMAGE:
            detail += f" It is in {self._aside(_path(finding)).parent}."
            done = f"Set aside. {done}"
        if row is not None:
            self._store.give_up_instance(row, _ACTOR, finding.kind, detail)
        return replace(finding, repaired=done)

    def _set_aside(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        del row
        aside = self._aside(_path(finding))
        return replace(finding, repaired=f"Set aside as {aside.name} in {aside.parent}.")

    def _aside(self, path: Path) -> Path:
        """Move `path` to the quarantine folder of its own disk under a unique name; return its path."""
        outbox = self._settings.outbox_dir.absolute()
        root = outbox if path.absolute().is_relative_to(outbox) else self._settings.spool_dir
        folder = root.absolute() / QUARANTINE
        folder.mkdir(exist_ok=True)
        target = folder / f"{uuid.uuid4().hex[:8]}.{path.name[-200:]}"
        path.rename(target)
        return target

    def _discard(self, finding: SpoolFinding, row: SpooledRow | None) -> SpoolFinding:
        del row
        _path(finding).unlink(missing_ok=True)
        return replace(finding, repaired="Removed.")


def _path(finding: SpoolFinding) -> Path:
    if finding.path is None:
        raise FileNotFoundError(2, "the finding has no file")
    return finding.path
