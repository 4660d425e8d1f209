"""A wall clock of the service's processes that can be moved forward and back."""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

_SOURCE: Final = Path(__file__).with_name("clock.c")
_TURNED_AT_LEAST: Final = 20  # seconds


class WallClock:
    """Needs a C compiler: a preloaded library replaces the time functions of the C library."""

    def __init__(self, folder: Path) -> None:
        """Build it in a folder."""
        self._offset = folder / "clock"
        self._library = folder / "clock.so"
        self._offset.write_bytes(struct.pack("l", 0))
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is not None:
            command = [compiler, "-shared", "-fPIC", "-O2", "-o", self._library, _SOURCE]
            subprocess.run(command, check=True)

    @property
    def can_be_turned(self) -> bool:
        """Whether there was a compiler."""
        return self._library.exists()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a process see this clock."""
        if not self.can_be_turned:
            return {}
        return {"LD_PRELOAD": str(self._library), "TURNED_CLOCK": str(self._offset)}

    def turn(self, seconds: int) -> None:
        """Shift the time of day in every process by this much from now on."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    def is_off_in(self, processes: Iterable[psutil.Process]) -> bool:
        """Return whether a new process sees a shifted time, and all of these use this clock."""
        result = subprocess.run(
            ["date", "+%s"], env=os.environ | self.environment, capture_output=True, check=True
        )
        is_off = abs(int(result.stdout) - time.time()) > _TURNED_AT_LEAST
        return is_off and all(self._is_seen_by(each) for each in processes)

    def _is_seen_by(self, process: psutil.Process) -> bool:
        try:
            return str(self._library) in Path(f"/proc/{process.pid}/maps").read_text()
        except OSError:
            return True  # it has just ended
