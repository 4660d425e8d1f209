"""The free space of the spool's disk, as a level with an action for each.

| level | free bytes below          | action                                                           |
|-------|---------------------------|------------------------------------------------------------------|
| ROOMY |                           | none                                                             |
| WARN  | sweep.warn_free_bytes     | record an incident                                               |
| EARLY | sweep.early_free_bytes    | remove files of Studies with confirmed results before their age  |
| FULL  | receiver.min_free_bytes   | refuse Instances before they are written                         |

A level ends only when 10 % more than its limit is free, so that it does not oscillate.
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
    """How full the disk is; each level includes the actions of the lower ones."""

    ROOMY = 0
    WARN = 1
    EARLY = 2
    FULL = 3

    @property
    def sentence(self) -> str:
        """Return the meaning as a sentence for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    DiskLevel.ROOMY: "The spool's disk has enough free space.",
    DiskLevel.WARN: "The spool's disk is getting full.",
    DiskLevel.EARLY: "The spool's disk is so full that delivered images are removed early.",
    DiskLevel.FULL: "The spool's disk is nearly full: images are refused.",
}


def free_bytes(folder: Path) -> int:
    """Return how many bytes an unprivileged process may still write to the disk of `folder`.

    Raises:
        OSError: The folder does not exist or cannot be read.
    """
    return shutil.disk_usage(folder).free


class Watermark:
    """Measures the level and stores it, so that a level ends at a higher limit than it begins."""

    def __init__(self, settings: Settings, measure: Callable[[Path], int] = free_bytes) -> None:
        """Take the limits and the folder from the settings, and the function that returns free bytes."""
        self._folder = settings.spool_dir
        self._measure = measure
        self._limits = {
            DiskLevel.WARN: settings.sweep.warn_free_bytes,
            DiskLevel.EARLY: settings.sweep.early_free_bytes,
            DiskLevel.FULL: settings.receiver.min_free_bytes,
        }
        self.step = DiskLevel.ROOMY

    def measure(self) -> DiskLevel:
        """Measure and return the level; FULL if the free space cannot be read.

        ROOMY if there is no spool folder yet: the receiver creates it.
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
        """Return the number of free bytes below which a level begins."""
        return self._limits[step]


def make_folder(path: Path, key: str) -> None:
    """Create a folder and its parents if they are missing.

    Args:
        path: The folder.
        key: The setting that names it, for the error's message.

    Raises:
        ConfigurationError: The folder cannot be created; the message begins with `key`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{key}: the folder {path} cannot be created: {error.strerror}"
        ) from None
