"""A small file system for the service's data, which can be full from one moment to the next."""

import errno
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_ROOMY: Final = 4 * 2**30
_PAGE: Final = 4096


class SmallDisk:
    """A tmpfs, mounted if this process is root; elsewhere a plain folder that is never full.

    Attributes:
        folder: Where it is.
        mounted: Whether it is a file system of its own.
    """

    def __init__(self, folder: Path) -> None:
        """Mount it at an empty folder, which is made."""
        folder.mkdir()
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", f"size={_ROOMY}", "none", str(folder)]
        self.mounted = (
            os.geteuid() == 0 and not subprocess.run(command, capture_output=True).returncode
        )

    def fill(self, *, left: int) -> None:
        """Leave `left` bytes free: the file system shrinks to what is used, nothing is written."""
        while True:
            status = os.statvfs(self.folder)
            used = (status.f_blocks - status.f_bfree) * status.f_frsize
            size = (used + left + _PAGE - 1) // _PAGE * _PAGE
            if not self._resize(size):  # something was written meanwhile
                continue
            return

    def has_room(self, size: int) -> bool:
        """Return whether so many bytes more could be written."""
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        return True

    def empty(self) -> None:
        """Restore the free space."""
        self._resize(_ROOMY)

    def remove(self) -> None:
        """Unmount it; what was on it is gone."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _resize(self, size: int) -> bool:
        command = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        return subprocess.run(command, capture_output=True).returncode == 0
