"""The spool: received data sets as PS3.10 files that survive a power cut.

    receive() ──▶ tmp/<random>.part ──keep()──▶ <aa>/<study>.<SOP Instance UID>.<hash>.dcm
                  written, hashed            synced, renamed, folder synced

File names consist of validated UIDs and hashes only. The same SOP Instance with the same bytes gets the
same name, so that a repeated store is recognized; with other bytes it becomes a second file.
"""

import errno
import fcntl
import hashlib
import os
import re
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dicom.errors import DicomError, OutOfResources
from dicom.identifiers import check_uid
from dicom.parsing.header import Identity
from dicom.spool.digest import DIGITS, EARLIER_DIGITS, hasher_like
from dicom.spool.durable import sync_folder
from dicom.spool.folder_sync import FolderSyncs
from dicom.spool.incoming_file import Announced, Incoming, out_of_resources
from dicom.study import Instance

_LOCK_DIGITS: Final = 2  # 256 lock files, each for all UIDs whose hash has this prefix
_TRIES: Final = 20
_META_START: Final = 140  # preamble, prefix, and the group length's element up to its value
_NAME: Final = re.compile(
    r"[0-9a-f]{16}\.(?P<uid>[0-9.]{1,64})"
    rf"\.(?P<digest>[0-9a-f]{{{DIGITS}}}|[0-9a-f]{{{EARLIER_DIGITS}}})\.dcm"
)
TEMPORARY: Final = "tmp"
LOCKS: Final = "locks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """An Instance in the spool.

    Attributes:
        instance: The Instance with its path, digest and size.
        created: Whether no file of this name existed.
        repaired: Whether a damaged file of this name was replaced.
    """

    instance: Instance
    created: bool
    repaired: bool = False


class Spool:
    """The folder of the received Instances; threads and processes may share it.

    Args:
        root: The folder; created if missing.
        max_object_bytes: Longer data sets are refused.
        min_free_bytes: With less free space every data set is refused.
    """

    def __init__(
        self, root: Path, *, max_object_bytes: int = 2**40, min_free_bytes: int = 0
    ) -> None:
        self.root = root.absolute()
        self._max_object_bytes = max_object_bytes
        self._min_free_bytes = min_free_bytes
        self._has_folders = False
        self._making_folders = threading.Lock()
        self._syncs = FolderSyncs()
        self._temporary = self.root / TEMPORARY
        self._locks = str(self.root / LOCKS)
        for folder in (self.root, self._temporary, self.root / LOCKS):
            folder.mkdir(parents=True, exist_ok=True)

    def recover(self) -> int:
        """Remove temporary files of interrupted receptions; return their number."""
        return sum(_remove_if_abandoned(path) for path in self._temporary.iterdir())

    def free_bytes(self) -> int:
        """Return the free bytes available to an unprivileged process."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def check_space(self) -> None:
        """Check that the disk has `min_free_bytes` free.

        Raises:
            OutOfResources: It has less, or the free space cannot be determined.
        """
        try:
            free = self.free_bytes()
        except OSError as error:
            raise out_of_resources(error) from None
        if free < self._min_free_bytes:
            raise OutOfResources("the spool's disk is nearly full")

    def receive(self, announced: Announced, *, refused: DicomError | None = None) -> Incoming:
        """Return the temporary file for an announced data set.

        Its `fault` is set from the start if a UID is invalid, the disk is nearly full, or `refused` is
        given. Then nothing is written, and the sender gets the fault's status.
        """
        path = self._temporary / f"{uuid.uuid4().hex}.part"
        fault = refused
        try:
            check_uid(announced.sop_class_uid, "Affected SOP Class UID")
            check_uid(announced.sop_instance_uid, "Affected SOP Instance UID")
            self.check_space()
        except DicomError as error:
            fault = fault or error
        return Incoming(path, announced, max_bytes=self._max_object_bytes, fault=fault)

    def store(self, incoming: Incoming, identity: Identity) -> PlacedFile:
        """Make a data set durable under its final name.

        Args:
            incoming: The completely received data set.
            identity: Its UIDs, read from the data set and validated.

        Raises:
            DicomError: `incoming.fault`, or OutOfResources if the disk reports an error; no new file
                is left.
        """
        placed = self.place(incoming, identity)
        try:
            self.sync_names([placed.instance.path])
        except OutOfResources:
            if placed.created:
                self.remove(placed.instance.path)
            raise
        return placed

    def place(self, incoming: Incoming, identity: Identity) -> PlacedFile:
        """Sync a data set and give it its final name; the name is durable only after `sync_names`.

        Raises:
            DicomError: `incoming.fault`, or OutOfResources if the disk reports an error; the temporary
                file is removed.
        """
        incoming.sync()
        digest = incoming.digest
        path = self.path_of(identity, digest)
        try:
            created, repaired = self._place(incoming, path, digest)
        except OSError as error:
            incoming.fail(out_of_resources(error))
            raise out_of_resources(error) from None
        instance = identity.instance(
            path,
            digest=digest,
            size=incoming.size,
            transfer_syntax_uid=incoming.announced.transfer_syntax_uid,
        )
        return PlacedFile(instance=instance, created=created, repaired=repaired)

    def sync_names(self, paths: Iterable[Path]) -> None:
        """Sync the folders of placed files, so that their names survive a power cut.

        Raises:
            OutOfResources: The disk reported an error.
        """
        try:
            for folder in {path.parent for path in paths}:
                self._syncs.sync(folder)
        except OSError as error:
            raise out_of_resources(error) from None

    def remove(self, path: Path) -> None:
        """Remove a stored file if it exists."""
        with suppress(FileNotFoundError):
            path.unlink()

    @contextmanager
    def uid_lock(self, sop_instance_uid: str) -> Iterator[None]:
        """Lock a SOP Instance UID against other threads and processes that store it.

        Without the lock a failed second store of an Instance could remove the file that was
        acknowledged by the first.

        Raises:
            OutOfResources: The lock file cannot be opened.
        """
        stripe = hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:_LOCK_DIGITS]
        try:
            lock = os.open(f"{self._locks}/{stripe}", os.O_RDONLY | os.O_CREAT, 0o640)
        except OSError as error:
            raise out_of_resources(error) from None
        try:
            # The file is opened for each call, so flock excludes other threads as well as processes.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def path_of(self, identity: Identity, digest: str) -> Path:
        """Return the path of a data set with this digest."""
        # `parse_file_name` parses the name.
        study = hashlib.sha256(identity.study_instance_uid.encode()).hexdigest()[:32]
        name = f"{study[2:18]}.{identity.sop_instance_uid}.{digest}.dcm"
        # 256 existing folders; a new folder for each study would need a sync of its own.
        return self.root / f"{study[:2]}/{name}"

    def _place(self, incoming: Incoming, path: Path, digest: str) -> tuple[bool, bool]:
        """Rename the temporary file to `path`; return whether it is new and whether it was damaged.

        An intact file at `path` is kept. It is verified from the disk, because the sender will delete
        its own copy after Success.
        """
        new = not path.exists()
        if not new and has_digest(path, digest):
            incoming.discard()
            return False, False
        self._rename(incoming.path, path)
        incoming.release()
        return new, not new

    def _rename(self, source: Path, target: Path) -> None:
        for _ in range(_TRIES):
            try:
                with self._making_folders:
                    if not self._has_folders:
                        self._make_folders()
                source.rename(target)
            except FileNotFoundError:
                self._has_folders = False  # the folder was removed from outside: create it again
                continue
            return
        raise FileNotFoundError(errno.ENOENT, "the temporary file no longer exists")

    def _make_folders(self) -> None:
        """Create the folders of all Instances durably.

        Not before the first Instance: an existing folder shows that the spool's disk is mounted.
        """
        for number in range(256):
            with suppress(FileExistsError):
                (self.root / f"{number:02x}").mkdir()
        # Also needed if all existed: another process may have created them and not synced yet.
        sync_folder(self.root)
        self._has_folders = True


def parse_file_name(name: str) -> tuple[str, str] | None:
    """Return SOP Instance UID and digest from a file name in the spool; None for any other name."""
    match = _NAME.fullmatch(name)
    return (match["uid"], match["digest"]) if match else None


def has_digest(path: Path, digest: str) -> bool:
    """Return whether the data set of a stored file, read from the disk, has this digest."""
    return content_digest(path, like=digest) == digest != ""


def content_digest(path: Path, *, like: str) -> str:
    """Return the digest of a stored file's data set, read from the disk; "" if it cannot be read.

    Args:
        path: The file.
        like: A digest whose algorithm is used (`dicom.spool.digest`).
    """
    try:
        return _content_digest(path, like)
    except OSError:
        return ""


def is_kept(path: Path, digest: str) -> bool:
    """Return what `has_digest` returns; False if the file does not exist.

    Raises:
        OSError: The file may exist but cannot be read now.
    """
    try:
        return _content_digest(path, digest) == digest != ""
    except FileNotFoundError:
        return False


def _content_digest(path: Path, like: str) -> str:
    digest = hasher_like(like)
    with path.open("rb") as file:
        start = file.read(_META_START + 4)
        if start[128:132] != b"DICM" or len(start) < _META_START + 4:
            return ""
        file.seek(_data_set_begins(start))
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def written_at(path: Path) -> datetime | None:
    """Return when a stored file was modified, by the file system's clock; None if it is unknown."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def data_set_size(path: Path) -> int:
    """Return the number of bytes after the file meta group; negative if the file was truncated in it.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_META_START + 4)
    return path.stat().st_size - _data_set_begins(start)


def _data_set_begins(start: bytes) -> int:
    """Return the offset of the data set, given the first bytes of a file (PS3.10 7.1)."""
    return _META_START + 4 + int.from_bytes(start[_META_START:], "little")


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            # Fails while the receiving process lives (see `Incoming._open`).
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
