"""Names reach the disk: those that came into one folder at the same time by one sync.

Each thread syncs the folder of its own film, so that the disk has several to do at once; those whose
films lie in the same folder are done by one of them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dicom.spool.durable import sync_folder
from dicom.spool.group_commit import GroupCommit


class FolderSyncs:
    """Syncs the folders of a spool, of which there are few; threads may share it."""

    def __init__(self) -> None:
        self._each: dict[Path, GroupCommit[None, OSError | None]] = {}

    def sync(self, folder: Path) -> None:
        """Return once the names in `folder` survive a power cut.

        Raises:
            OSError: The disk refused.
        """
        together = self._each.get(folder)
        if together is None:
            # Of two threads that come here at once, both use the one that was first.
            together = self._each.setdefault(folder, GroupCommit(partial(_sync_for_all, folder)))
        fault = together.do(None)
        if fault is not None:
            raise OSError(fault.errno, fault.strerror)  # one of its own for each thread


def _sync_for_all(folder: Path, asked: Sequence[None]) -> list[OSError | None]:
    try:
        sync_folder(folder)
    except OSError as error:
        return [error] * len(asked)
    return [None] * len(asked)
