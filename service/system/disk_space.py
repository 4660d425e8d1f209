"""How full the spool's disk is, in steps, each with something that is done about it.

| step  | below                     | what is done                                                     |
|-------|---------------------------|------------------------------------------------------------------|
| ROOMY |                           | nothing                                                          |
| WARN  | sweep.warn_free_bytes     | an incident                                                      |
| EARLY | sweep.early_free_bytes    | films whose drafts every destination has confirmed go at any age |
| FULL  | receiver.min_free_bytes   | films are refused before they are written                        |

A step is left when a tenth more than its limit is free, so that nothing goes back and forth.
"""

import shutil
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError
from service.settings.config import Settings

_CLEARANCE: Final = 1.1


class DiskLevel(IntEnum):
    """How full the disk is; each step includes what is done at those before it."""

    ROOMY = 0
    WARN = 1
    EARLY = 2
    FULL = 3

    @property
    def sentence(self) -> str:
        """Return what it means, for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    DiskLevel.ROOMY: "There is room on the spool's disk.",
    DiskLevel.WARN: "The spool's disk fills up.",
    DiskLevel.EARLY: "The spool's disk is so full that delivered films are removed before their age.",
    DiskLevel.FULL: "The spool's disk is nearly full: films are refused.",
}


def free_bytes(folder: Path) -> int:
    """Return how much an unprivileged process may still write there.

    Raises:
        OSError: The folder cannot be read.
    """
    return shutil.disk_usage(folder).free


class Watermark:
    """Tells the step, and remembers it, so that a step is left later than it was entered."""

    def __init__(self, settings: Settings, measure: Callable[[Path], int] = free_bytes) -> None:
        """Take the limits, the folder, and how it is measured."""
        self._folder = settings.spool_dir
        self._measure = measure
        self._limits = {
            DiskLevel.WARN: settings.sweep.warn_free_bytes,
            DiskLevel.EARLY: settings.sweep.early_free_bytes,
            DiskLevel.FULL: settings.receiver.min_free_bytes,
        }
        self.step = DiskLevel.ROOMY

    def look(self) -> DiskLevel:
        """Return the step now; FULL where the disk does not even say how full it is.

        Where there is no spool yet there is room: whoever takes a film makes it.
        """
        try:
            free = self._measure(self._folder)
        except FileNotFoundError:
            self.step = DiskLevel.ROOMY
            return self.step
        except OSError:
            self.step = DiskLevel.FULL
            return self.step
        self.step = max(
            (step for step, limit in self._limits.items() if free < self._bound(step, limit)),
            default=DiskLevel.ROOMY,
        )
        return self.step

    def _bound(self, step: DiskLevel, limit: int) -> float:
        return limit * _CLEARANCE if step <= self.step else limit

    def limit(self, step: DiskLevel) -> int:
        """Return below how many free bytes a step begins."""
        return self._limits[step]


def make_folder(path: Path, key: str) -> None:
    """Make a folder, and those above it, when they are missing.

    Args:
        path: The folder.
        key: The setting that names it, for the error's sentence.

    Raises:
        ConfigurationError: It cannot be made; the message says which setting to change.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{key}: the folder {path} cannot be made: {error.strerror}"
        ) from None
