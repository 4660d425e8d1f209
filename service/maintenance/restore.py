"""Restores a site from a backup, also to another path: the file paths in its rows are then rewritten."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from sqlalchemy import Connection, text

from service.database import database_copy, schema
from service.database.db_errors import mapped_errors
from service.database.engine import make_engine
from service.errors import ConfigurationError
from service.maintenance.backup import (
    DATA,
    DIGESTS,
    FORMAT,
    MANIFEST,
    Manifest,
    copy_times,
    digest_of,
)
from service.settings.config import Settings, config_path

# Each table with a column `path`, its primary key, a value before every key, the folder of its files.
_NAMING: Final = (
    ("instances", "id", 0, "spool"),
    ("result_objects", "id", 0, "outbox"),
    ("verified_reports", "decision_id", "", "outbox"),
)
_AT_ONCE: Final = 5000


def read_backup(folder: Path) -> tuple[Manifest, dict[str, str]]:
    """Return a backup's manifest and the SHA-256 of each file by its name in the folder.

    Raises:
        ConfigurationError: The backup is incomplete, of a later version, or names a file outside it.
    """
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        manifest = Manifest(**content)
        lines = (folder / DIGESTS).read_text().splitlines()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{folder} is not a complete backup: {MANIFEST} or {DIGESTS} cannot be read ({error})"
        ) from None
    if manifest.format != FORMAT or manifest.revision not in schema.revisions():
        raise ConfigurationError(
            f"{folder} was made by Wetread {manifest.wetread} (revision {manifest.revision}): "
            "restore it by that version or a later one"
        )
    digests = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in digests:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ConfigurationError(f"{folder}/{DIGESTS} names a file outside of the backup")
    return manifest, digests


def damaged_files(folder: Path, digests: dict[str, str]) -> Iterator[str]:
    """Yield the name of each file that is missing, unreadable or changed."""
    for name, digest in digests.items():
        try:
            whole = digest_of(folder / name) == digest
        except OSError:
            whole = False
        if not whole:
            yield name


def restore(settings: Settings, folder: Path) -> Manifest:
    """Fill the empty data folder and the empty database of the settings from a backup.

    Raises:
        ConfigurationError: The backup is incomplete or damaged, a service is running, the data folder
            or the database is not empty, or pg_restore is missing: nothing was changed.
        StoreError: The database cannot be restored.
        OSError: A file cannot be read or written.
    """
    manifest, digests = read_backup(folder)
    _check_empty(settings, manifest)
    damaged = list(damaged_files(folder, digests))
    if damaged:
        raise ConfigurationError(
            f"{folder} is damaged: {len(damaged)} files, the first is {damaged[0]}"
        )
    for name in digests:
        target = settings.data_dir / name.removeprefix(f"{DATA}/")
        if name.startswith(f"{DATA}/") and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
            copy_times(folder / name, target)
    # The files are on stable storage before the rows that name them.
    os.sync()
    url = settings.database_url
    database_copy.load(url, folder / database_copy.copy_name(url))
    _move_rows(url, Path(manifest.data_dir), settings.data_dir.absolute())
    schema.upgrade(url)
    return manifest


def _check_empty(settings: Settings, manifest: Manifest) -> None:
    url, data_dir = settings.database_url, settings.data_dir
    if _is_running(settings):
        raise ConfigurationError(f"a service is running in {data_dir}: stop it")
    if data_dir.exists() and any(not _may_stay(path) for path in data_dir.iterdir()):
        raise ConfigurationError(
            f"data_dir: {data_dir} is not empty: move it away, or set another data_dir"
        )
    if database_copy.kind_of(url) != manifest.database:
        raise ConfigurationError(
            f"database.url: the backup is of {manifest.database}, the settings name "
            f"{database_copy.kind_of(url)}"
        )
    if not database_copy.is_empty(url):
        raise ConfigurationError("database.url: the database is not empty: name an empty one")
    # Before any file is copied: another try needs an empty data folder.
    database_copy.check_can_load(url)


def _may_stay(path: Path) -> bool:
    """Return whether a path may be in a data folder to be filled: `lost+found` or the settings file."""
    settings_file = config_path()
    return path.name == "lost+found" or (
        settings_file is not None and settings_file.exists() and path.samefile(settings_file)
    )


def _is_running(settings: Settings) -> bool:
    try:
        with (settings.run_dir / "up.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _move_rows(url: str, old: Path, new: Path) -> None:
    """Rewrite each row's file path to `new`; delete the heartbeats of the copied service."""
    engine = make_engine(url)
    try:
        with mapped_errors(), engine.begin() as connection:
            for table, key, first, folder in _NAMING:
                _rename(connection, table, key, first, _renamer(folder, old, new))
            connection.execute(text("DELETE FROM processes"))
    finally:
        engine.dispose()


def _rename(
    connection: Connection, table: str, key: str, first: int | str, renamed: Callable[[str], str]
) -> None:
    last = first
    columns = f"SELECT {key} AS id, path FROM {table}"  # noqa: S608 - our own names
    ask = text(f"{columns} WHERE {key} > :last ORDER BY {key} LIMIT {_AT_ONCE}")
    change = text(f"UPDATE {table} SET path = :path WHERE {key} = :id")  # noqa: S608
    while rows := connection.execute(ask, {"last": last}).all():
        last = rows[-1].id
        changed = [
            {"id": row.id, "path": path} for row in rows if (path := renamed(row.path)) != row.path
        ]
        if changed:
            connection.execute(change, changed)


def _renamer(folder: str, old: Path, new: Path) -> Callable[[str], str]:
    """Return a function that maps a path under the old data folder to one under the new one.

    A site that was moved before may have rows with an even older folder. Such a path is mapped by its
    part below `folder` if that file exists; else it is left as it is.
    """

    def renamed(path: str) -> str:
        if Path(path).is_relative_to(old):
            return str(new / Path(path).relative_to(old))
        _, found, rest = path.rpartition(f"/{folder}/")
        candidate = new / folder / rest
        return str(candidate) if found and candidate.is_file() else path

    return renamed
