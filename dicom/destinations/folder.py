"""A folder as a Destination: for the demo, for programs that collect files, for sites without a PACS."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydicom.uid import UID

from dicom.destinations.destination import EncodedObject, Refusals
from dicom.errors import DestinationRejected, DestinationUnavailable, NotListed
from dicom.results.json_sidecar import SIDECAR_NAME
from dicom.spool.durable import sync_folder

# Errors that a person must fix; others (disk full, stale or unavailable mount) may pass.
_FORBIDDEN: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}


class FolderDestination:
    """A folder: `<study instance UID>/<SOP instance UID>.dcm`, each file complete or absent.

    Optionally also the draft as JSON, named after the first object: `<its SOP instance UID>.json`.
    """

    def __init__(self, *, name: str, path: Path, sidecar: bool = False) -> None:
        self._name = name
        self._path = path
        self._sidecar = sidecar

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def reads_back(self) -> bool:
        """Always true: each file is compared."""
        return True

    def place(self, item: EncodedObject) -> Path:
        """Return the path of `item` in the folder."""
        return self._path / item.study_instance_uid / f"{item.sop_instance_uid}.dcm"

    def send(self, objects: Sequence[EncodedObject]) -> None:
        """Write each object durably under its own name."""
        refusals = Refusals()
        for item in objects:
            content = item.read()
            with self._mapped_errors():
                try:
                    self._write(self.place(item), content)
                except DestinationRejected as error:
                    refusals.add(item, error)
        with self._mapped_errors():
            for target, content in self._beside(objects):
                self._write(target, content)
        refusals.raise_any()

    def _beside(self, objects: Sequence[EncodedObject]) -> Iterator[tuple[Path, bytes]]:
        """Yield path and content of the draft's JSON if it is enabled and exists."""
        if self._sidecar and objects:
            content = _or_none(objects[0].path.with_name(SIDECAR_NAME).read_bytes)
            if content is not None:
                yield self.place(objects[0]).with_suffix(".json"), content

    def _write(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if target.read_bytes() == content:
                # An earlier attempt may have crashed before the name was durable.
                self._sync(target.parent)
                return
            raise DestinationRejected(f"{self.name}: {target} holds other bytes under the same UID")
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes the file private; the program that collects it reads it through the group.
            Path(temporary).chmod(0o640)
            Path(temporary).replace(target)
        finally:
            # After the rename this file is gone; after a failure it must not be left behind.
            with suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        self._sync(target.parent)

    def _sync(self, study: Path) -> None:
        """Sync a Study's folder and its parent, so that the names survive a power cut."""
        for folder in (study, self._path):
            sync_folder(folder)

    def held(self, objects: Sequence[EncodedObject]) -> frozenset[str]:
        """Return all SOP Instance UIDs if each file and the draft's JSON are as sent, otherwise none.

        Writing a file again changes nothing, so it is not determined which files are there.
        """
        try:
            self.verify(objects)
        except (NotListed, DestinationRejected):
            return frozenset()
        return frozenset(item.sop_instance_uid for item in objects)

    def verify(self, objects: Sequence[EncodedObject]) -> None:
        """Read each file back and compare its digest."""
        for item in objects:
            target = self.place(item)
            with self._mapped_errors():
                content = _or_none(target.read_bytes)
            if content is None:
                raise NotListed(f"{self.name}: {target} no longer exists")
            if hashlib.sha256(content).hexdigest() != item.sha256:
                raise DestinationRejected(f"{self.name}: {target} holds other bytes than were sent")
        with self._mapped_errors():
            for target, content in self._beside(objects):
                if _or_none(target.read_bytes) != content:
                    raise NotListed(f"{self.name}: {target} is not what was sent")

    def probe(self) -> None:
        """Create a file in the folder and remove it."""
        with self._mapped_errors():
            self._path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._path) as file:
                file.write(b"\0")

    def probe_writing(self, contexts: Sequence[tuple[UID, UID]]) -> bool:
        """Create a file in the folder and remove it."""
        del contexts
        self.probe()
        return True

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            sentence = f"{self.name}: the folder {self._path} cannot be used: {error.strerror}"
            if error.errno in _FORBIDDEN:
                raise DestinationRejected(f"{sentence}: give this user write permission") from error
            raise DestinationUnavailable(sentence) from error


def _or_none(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except FileNotFoundError:
        return None
