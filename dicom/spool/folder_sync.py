"""Syncs of the spool's folders: names added to one folder at the same time share one sync.

Each thread syncs the folder of its own Instance, so that the disk can process several syncs at once;
threads whose Instances are in the same folder share one.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dicom.spool.durable import sync_folder
from dicom.spool.group_commit import GroupCommit


class FolderSyncs:
    """Syncs the folders of a spool (256 at most); threads may share it."""

    def __init__(self) -> None:
        self._each: dict[Path, GroupCommit[None, OSError | None]] = {}

    def sync(self, folder: Path) -> None:
        """Sync `folder`, so that the names in it survive a power cut.

        Raises:
            OSError: The folder could not be synced.
        """
        commit = self._each.get(folder)
        if commit is None:
            # setdefault is atomic: two threads that arrive here at once use the same object.
            commit = self._each.setdefault(folder, GroupCommit(partial(_sync_for_all, folder)))
        fault = commit.submit(None)
        if fault is not None:
            raise OSError(fault.errno, fault.strerror)  # a new one for each thread


def _sync_for_all(folder: Path, asked: Sequence[None]) -> list[OSError | None]:
    try:
        sync_folder(folder)
    except OSError as error:
        return [error] * len(asked)
    return [None] * len(asked)
