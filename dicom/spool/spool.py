"""The spool: bytes as they arrived become PS3.10 files that survive a power cut.

    receive() ──▶ tmp/<random>.part ──keep()──▶ <aa>/<study>.<SOP Instance UID>.<hash>.dcm
                  written, hashed            synced, renamed, folder synced

File names are made from validated UIDs and from hashes only. The same SOP Instance with the same bytes
has the same name, so that it is found again; with other bytes it has another name and lies beside.
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

_LOCK_DIGITS: Final = 2  # 256 lock files, each for all UIDs whose hash begins so
_TRIES: Final = 20
_META_START: Final = 140  # preamble, prefix, and the group length's element up to its value
_NAME: Final = re.compile(
    r"[0-9a-f]{16}\.(?P<uid>[0-9.]{1,64})"
    rf"\.(?P<digest>[0-9a-f]{{{DIGITS}}}|[0-9a-f]{{{EARLIER_DIGITS}}})\.dcm"
)
TEMPORARY: Final = "tmp"
LOCKS: Final = "locks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A durable Instance.

    Attributes:
        created: Its name was free until now.
        repaired: Under its name lay something else than its bytes, which its bytes have replaced.
    """

    instance: Instance
    created: bool
    repaired: bool = False


class Spool:
    """The folder in which received Instances lie; threads and processes may share it.

    Args:
        root: The folder; made when missing.
        max_object_bytes: A longer data set is refused.
        min_free_bytes: Below this free space nothing is taken.
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
        """Remove what interrupted receptions left; return how many files those were."""
        return sum(_remove_if_abandoned(path) for path in self._temporary.iterdir())

    def free_bytes(self) -> int:
        """Return how many bytes an unprivileged process may still write."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def check_space(self) -> None:
        """Return when there is room for more.

        Raises:
            OutOfResources: There is not, or nobody can tell.
        """
        try:
            free = self.free_bytes()
        except OSError as error:
            raise out_of_resources(error) from None
        if free < self._min_free_bytes:
            raise OutOfResources("the spool's disk is nearly full")

    def receive(self, announced: Announced, *, refused: DicomError | None = None) -> Incoming:
        """Return where the bytes of an announced data set go; refused ones go nowhere.

        Its `fault` is set from the start when a UID is invalid, the disk is nearly full, or somebody
        has `refused` it already: then nothing is written, and the sender hears the status.
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

    def keep(self, incoming: Incoming, identity: Identity) -> Kept:
        """Make a data set durable under its final name.

        Args:
            incoming: All of its bytes.
            identity: Its UIDs, read from it and valid.

        Raises:
            OutOfResources: The disk refused; nothing is left of it.
        """
        kept = self.place(incoming, identity)
        try:
            self.settle([kept.instance.path])
        except OutOfResources:
            if kept.created:
                self.remove(kept.instance.path)
            raise
        return kept

    def place(self, incoming: Incoming, identity: Identity) -> Kept:
        """Give a data set, its bytes on stable storage, its final name.

        The name itself is durable only after `settle`.

        Raises:
            OutOfResources: The disk refused; nothing is left of it.
        """
        incoming.sync()
        digest = incoming.digest
        path = self.path_of(identity, digest)
        try:
            created, repaired = self._place(incoming, path, digest)
        except OSError as error:
            incoming.fail(out_of_resources(error))
            raise out_of_resources(error) from None
        instance = Instance(
            sop_instance_uid=identity.sop_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            series_instance_uid=identity.series_instance_uid,
            study_instance_uid=identity.study_instance_uid,
            transfer_syntax_uid=incoming.announced.transfer_syntax_uid,
            path=path,
            digest=digest,
            size=incoming.size,
        )
        return Kept(instance=instance, created=created, repaired=repaired)

    def settle(self, paths: Iterable[Path]) -> None:
        """Return once the names of placed files survive a power cut.

        Raises:
            OutOfResources: The disk refused.
        """
        try:
            for folder in {path.parent for path in paths}:
                self._syncs.sync(folder)
        except OSError as error:
            raise out_of_resources(error) from None

    def remove(self, path: Path) -> None:
        """Make sure that a kept file is gone."""
        with suppress(FileNotFoundError):
            path.unlink()

    @contextmanager
    def exclusive(self, sop_instance_uid: str) -> Iterator[None]:
        """Hold off everybody else, in any process, who stores an Instance of the same UID.

        Without it the failed second store of a film could remove the file that the first one's
        Success stands for.

        Raises:
            OutOfResources: The disk refused the lock file.
        """
        stripe = hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:_LOCK_DIGITS]
        try:
            lock = os.open(f"{self._locks}/{stripe}", os.O_RDONLY | os.O_CREAT, 0o640)
        except OSError as error:
            raise out_of_resources(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def path_of(self, identity: Identity, digest: str) -> Path:
        """Return where a data set with this hash lies when it is kept."""
        # `film_named` reads it back.
        study = hashlib.sha256(identity.study_instance_uid.encode()).hexdigest()[:32]
        name = f"{study[2:18]}.{identity.sop_instance_uid}.{digest}.dcm"
        # 256 folders that are there already: a folder for each study would have to be synced as well.
        return self.root / f"{study[:2]}/{name}"

    def _place(self, incoming: Incoming, path: Path, digest: str) -> tuple[bool, bool]:
        """Return whether `path` is new, and whether what lay there was damaged and is replaced.

        A film that lies there whole stays as it was acknowledged. That is read from the disk: its sender
        deletes the bytes that we have now.
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
                self._has_folders = False  # somebody took the folder away
                continue
            return
        raise FileNotFoundError(errno.ENOENT, "the temporary file is gone")

    def _make_folders(self) -> None:
        """Have the folders of all films, through a power cut as well.

        Not before the first film: a folder is a sign that the spool's disk is mounted.
        """
        for number in range(256):
            with suppress(FileExistsError):
                (self.root / f"{number:02x}").mkdir()
        # For those too that another process has made and has not synced yet.
        sync_folder(self.root)
        self._has_folders = True


def film_named(name: str) -> tuple[str, str] | None:
    """Return SOP Instance UID and hash of the film that a file's name says, or None."""
    match = _NAME.fullmatch(name)
    return (match["uid"], match["digest"]) if match else None


def has_digest(path: Path, digest: str) -> bool:
    """Return whether a kept file, read from the disk, has the data set that `digest` was made of."""
    return content_digest(path, like=digest) == digest != ""


def content_digest(path: Path, *, like: str) -> str:
    """Return the digest of a kept file's data set, read from the disk; "" when it cannot be read.

    Args:
        path: The file.
        like: A digest by the algorithm that is wanted (`dicom.spool.digest`).
    """
    try:
        return _content_digest(path, like)
    except OSError:
        return ""


def is_kept(path: Path, digest: str) -> bool:
    """Return what `has_digest` returns, where the disk can be read.

    Raises:
        OSError: The file is there, as far as is known, and cannot be read now.
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
    """Return when a kept file was written, by the clock of its disk; None when it cannot be told."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def data_set_size(path: Path) -> int:
    """Return how many bytes follow the file meta group; less than none where it was cut short.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_META_START + 4)
    return path.stat().st_size - _data_set_begins(start)


def _data_set_begins(start: bytes) -> int:
    """Return where the data set begins, of a file's first bytes (PS3.10 7.1)."""
    return _META_START + 4 + int.from_bytes(start[_META_START:], "little")


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
