"""Makes a backup of database, images, results and settings while the service runs.

    copy files ──▶ drop copies of files removed since ──▶ copy database ──▶ copy new files

A file is written before its row, and retention marks a row after it has removed the file. So the backup
has the file of each row that its database does not mark as removed. The exception is a file whose row
retention has not marked yet: the restored service repeats that removal.

    BACKUP/manifest.json   what it is a backup of      BACKUP/wetread.db or wetread.dump
    BACKUP/SHA256SUMS      digest of each file         BACKUP/wetread.toml   the settings file
    BACKUP/data/           spool, outbox, commitments, device-uid
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from dicom.spool.durable import write_durably
from dicom.spool.spool import LOCKS, TEMPORARY
from service.database import database_copy, schema
from service.errors import ConfigurationError
from service.settings.config import Settings

MANIFEST: Final = "manifest.json"
DIGESTS: Final = "SHA256SUMS"
DATA: Final = "data"
SETTINGS: Final = "wetread.toml"
FORMAT: Final = 1
_FOLDERS: Final = ("spool", "outbox", "commitments")
_PIECE: Final = 2**20
_OWN_FILES: Final = 0o600  # the settings hold secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.

    Attributes:
        data_dir: The absolute path of the data folder, with which the rows' file paths begin.
        database: `sqlite` or `postgresql`.
        revision: The schema revision of the database.
    """

    format: int
    wetread: str
    created_at: str
    data_dir: str
    database: str
    revision: str | None
    files: int
    bytes: int


class Backup:
    """Makes one backup.

    Args:
        settings: The settings in force.
        target: An empty folder; created if missing.
    """

    def __init__(self, settings: Settings, target: Path) -> None:
        self._settings = settings
        self._target = target
        self._digests: dict[str, str] = {}

    def make(self, settings_file: Path | None, dump: Path | None = None) -> Manifest:
        """Return the manifest once everything is copied and on stable storage.

        Args:
            settings_file: The settings file to copy; None for none.
            dump: A copy of the database made just before; None to make it here.

        Raises:
            ConfigurationError: The target is not empty, or pg_dump is missing.
            StoreError: The database cannot be copied.
            OSError: A file cannot be read or written.
        """
        url = self._settings.database_url
        self._make_target()
        self._copy_files()
        self._leave_out_what_is_gone()
        revision = schema.current(url)
        copy = self._target / database_copy.copy_name(url)
        if dump is None:
            database_copy.dump(url, copy)
        else:
            self._copy(dump, copy.name)
        self._copy_files()
        if settings_file is not None:
            self._copy(settings_file, SETTINGS)
            (self._target / SETTINGS).chmod(_OWN_FILES)
        self._digests[copy.name] = digest_of(copy)
        return self._finish(revision)

    def _make_target(self) -> None:
        self._target.mkdir(parents=True, exist_ok=True)
        if any(self._target.iterdir()):
            raise ConfigurationError(f"{self._target} is not empty: name a new folder")

    def _copy_files(self) -> None:
        """Copy the files that are not copied yet."""
        root = self._settings.data_dir
        for source in _files(root):
            name = f"{DATA}/{source.relative_to(root).as_posix()}"
            if name not in self._digests:
                try:
                    self._copy(source, name)
                except FileNotFoundError:
                    continue  # retention removed it meanwhile

    def _copy(self, source: Path, name: str) -> None:
        target = self._target / name
        digest = hashlib.sha256()
        with source.open("rb") as reading:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as writing:
                while piece := reading.read(_PIECE):
                    digest.update(piece)
                    writing.write(piece)
        copy_times(source, target)
        self._digests[name] = digest.hexdigest()

    def _leave_out_what_is_gone(self) -> None:
        for name in list(self._digests):
            if not (self._settings.data_dir / name.removeprefix(f"{DATA}/")).exists():
                (self._target / name).unlink()
                del self._digests[name]

    def _finish(self, revision: str | None) -> Manifest:
        """Write the manifest last, since a backup without it counts as incomplete; return it."""
        manifest = Manifest(
            format=FORMAT,
            wetread=metadata.version("wetread"),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            data_dir=str(self._settings.data_dir.absolute()),
            database=database_copy.kind_of(self._settings.database_url),
            revision=revision,
            files=len(self._digests),
            bytes=sum((self._target / name).stat().st_size for name in self._digests),
        )
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self._digests.items()))
        write_durably(self._target / DIGESTS, lines.encode())
        # All files are on stable storage before the manifest that makes the backup complete.
        os.sync()
        write_durably(self._target / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
        return manifest


def copy_times(source: Path, target: Path) -> None:
    """Give a copy the times of its source: the store reads when an Instance's file was written."""
    times = source.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(data_dir: Path) -> Iterator[Path]:
    """Yield the files of a data folder to copy: those at its top level and those of `_FOLDERS`.

    The database is copied separately. `run`, lock files and partly received files are left out: they
    matter only to running processes.

    Raises:
        ConfigurationError: The data folder does not exist.
    """
    if not data_dir.is_dir():
        raise ConfigurationError(f"data_dir: {data_dir} is no folder")
    for path in sorted(data_dir.iterdir()):
        if path.is_file() and not path.name.startswith("wetread.db"):
            yield path
    left_out = {data_dir / "spool" / TEMPORARY, data_dir / "spool" / LOCKS}
    for name in _FOLDERS:
        for folder, folders, names in os.walk(data_dir / name):
            here = Path(folder)
            folders[:] = [each for each in folders if here / each not in left_out]
            yield from (here / each for each in names if not (here / each).is_symlink())
