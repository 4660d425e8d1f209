"""Checks the folders and the disk below `data_dir`, and leaves no new folder behind.

A folder created by `wetread check` would belong to its user, who may not be the service's.
"""

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from service.checks.check import Check, Grade, Outcome
from service.settings.config import Settings
from service.system.disk_space import free_bytes

_MIB = 2**20
_ADVICE = "Run this as the service's user, or change the folder's owner"


def storage_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each folder that the service writes; for the spool also of its free space."""
    yield Check("data_dir", partial(_writable, settings.data_dir.absolute()))
    yield Check("spool", partial(_spool, settings))
    for what, folder in {"outbox": settings.outbox_dir, "run folder": settings.run_dir}.items():
        if folder.exists():
            yield Check(what, partial(_writable, folder.absolute()))


def _spool(settings: Settings) -> Outcome:
    folder = settings.spool_dir.absolute()
    found = _writable(folder)
    return found if found.grade is Grade.FAULT else _space(settings, found.detail)


def _writable(folder: Path) -> Outcome:
    """Check that this user can write and sync a file in `folder`, or can create the folder."""
    if not folder.exists():
        return _creatable(folder)
    if not folder.is_dir():
        return Outcome(f"{folder} is a file, not a folder: set data_dir", Grade.FAULT)
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            os.fsync(probe.fileno())
    except OSError as error:
        return Outcome(_refused(folder, error), Grade.FAULT)
    return Outcome(f"{folder} can be written")


def _creatable(folder: Path) -> Outcome:
    *missing, above = _nearest_existing(folder)
    if not above.is_dir():
        text = f"{folder} cannot be created: {above} is a file. Set data_dir to another folder"
        return Outcome(text, Grade.FAULT)
    try:
        missing[-1].mkdir()
        missing[-1].rmdir()
    except OSError as error:
        text = f"{folder} cannot be created in {above}, by {_user()}: {error.strerror}. {_ADVICE}"
        return Outcome(text, Grade.FAULT)
    return Outcome(f"{folder} does not exist yet; it can be created in {above}")


def _nearest_existing(folder: Path) -> list[Path]:
    """Return `folder` and its parents, up to the first that exists."""
    chain = []
    for each in (folder, *folder.parents):
        chain.append(each)
        if each.exists():
            break
    return chain


def _refused(folder: Path, error: OSError) -> str:
    state = folder.stat()
    return (
        f"{folder} cannot be written by {_user()}: {error.strerror} (it belongs to user {state.st_uid}, "
        f"group {state.st_gid}, mode {state.st_mode & 0o777:o}). {_ADVICE}"
    )


def _user() -> str:
    return f"user {os.geteuid()}"


def _space(settings: Settings, writable: str) -> Outcome:
    """Judge the free space for Instances; `writable` is the text with which the detail begins."""
    free = free_bytes(_nearest_existing(settings.spool_dir.absolute())[-1])
    least, sweep = settings.receiver.min_free_bytes, settings.sweep
    text = f"{writable}, {free // _MIB} MiB free"
    if free < least:
        needed = f"{text}, {least // _MIB} MiB are needed (receiver.min_free_bytes)"
        return Outcome(f"{needed}: the receiver accepts no images", Grade.FAULT)
    if free < sweep.early_free_bytes:
        why = "delivered images are removed before sweep.retention_days (sweep.early_free_bytes)"
        return Outcome(f"{text}: {why}", Grade.WARNING)
    if free < sweep.warn_free_bytes:
        return Outcome(f"{text}, fewer than sweep.warn_free_bytes", Grade.WARNING)
    return Outcome(text)
