"""Lists the files in spool and outbox."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicom.spool.levels_file import SUFFIX as LEVELS
from dicom.spool.levels_file import image_path
from dicom.spool.spool import LOCKS, TEMPORARY, parse_file_name

QUARANTINE: Final = "quarantine"
_OTHER_FOLDERS: Final = frozenset({TEMPORARY, LOCKS, QUARANTINE})
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledFile:
    """A file in the spool.

    Attributes:
        path: The path of the file.
        name: SOP Instance UID and hash in the file's name; None if the name has another form.
        size: In bytes.
        changed: When it was last written or renamed, seconds since 1970.
    """

    path: Path
    name: tuple[str, str] | None
    size: int
    changed: float


def spooled_files(root: Path) -> Iterator[SpooledFile]:
    """Yield each file of the spool but temporary files, locks, levels and the quarantine."""
    for entry in _entries(root):
        if entry.name in _OTHER_FOLDERS or entry.name.endswith(LEVELS):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield from _described(entry, None)
        elif _FOLDER.fullmatch(entry.name):
            for inner in _entries(Path(entry.path)):
                if inner.name.endswith(LEVELS):
                    continue
                yield from _described(inner, parse_file_name(inner.name))
        else:
            for inner_path in Path(entry.path).rglob("*"):
                if not inner_path.is_dir() and not inner_path.name.endswith(LEVELS):
                    yield _file(inner_path, parse_file_name(inner_path.name), inner_path.lstat())


def orphaned_levels(root: Path, before: float) -> Iterator[Path]:
    """Yield the files of levels whose image is no longer in the spool.

    Args:
        root: The spool.
        before: Only files last written before this time, seconds since 1970.
    """
    for entry in _entries(root):
        if entry.name in _OTHER_FOLDERS or not entry.is_dir(follow_symlinks=False):
            continue
        for path in Path(entry.path).rglob(f"*{LEVELS}"):
            with suppress(FileNotFoundError):
                if not image_path(path).exists() and path.lstat().st_mtime < before:
                    yield path


def files_called(root: Path, name: str) -> Iterator[Path]:
    """Yield each file of the spool with this name, in any of its folders."""
    for entry in _entries(root):
        if entry.name in _OTHER_FOLDERS or not entry.is_dir(follow_symlinks=False):
            continue
        if not _FOLDER.fullmatch(entry.name):
            yield from Path(entry.path).rglob(name)
        elif (path := Path(entry.path) / name).exists():
            yield path


def holds_folders(root: Path) -> bool:
    """Return whether the spool has a folder for Instances; it has none if its disk is not mounted."""
    return any(_FOLDER.fullmatch(entry.name) for entry in _entries(root))


def is_own_folder(folder: Path, root: Path) -> bool:
    """Return whether `folder` is one of the spool's folders for Instances (two hexadecimal digits)."""
    return folder.parent == root and _FOLDER.fullmatch(folder.name) is not None


def _described(entry: os.DirEntry[str], name: tuple[str, str] | None) -> Iterator[SpooledFile]:
    try:
        yield _file(Path(entry.path), name, entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return  # retention has removed it meanwhile


def _file(path: Path, name: tuple[str, str] | None, status: os.stat_result) -> SpooledFile:
    # A rename does not change `st_mtime` but sets `st_ctime`.
    return SpooledFile(
        path=path, name=name, size=status.st_size, changed=max(status.st_mtime, status.st_ctime)
    )


def leftovers(root: Path, before: float) -> Iterator[Path]:
    """Yield the temporary files of interrupted receptions: those that no process holds locked.

    Args:
        root: The spool.
        before: Only files last written before this time, seconds since 1970.
    """
    for entry in _entries(root / TEMPORARY):
        path = Path(entry.path)
        try:
            if path.lstat().st_mtime < before and not _is_held(path):
                yield path
        except FileNotFoundError:
            continue


def held_locks(root: Path, seconds: float) -> Iterator[Path]:
    """Yield the locks that cannot be taken within `seconds`; a receiver holds a lock only briefly."""
    for entry in _entries(root / LOCKS):
        path, deadline = Path(entry.path), time.monotonic() + seconds
        while _is_held(path):
            if time.monotonic() >= deadline:
                yield path
                break
            time.sleep(_LOOK_SECONDS)


def outbox_folders(root: Path) -> Iterator[Path]:
    """Yield each entry of the outbox but the quarantine: a folder for each job, named by its id."""
    for entry in _entries(root):
        if entry.name != QUARANTINE:
            yield Path(entry.path)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from found


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
