"""What can be drawn for a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

FULL_SIZE: Final = 1600
THUMBNAIL_SIZE: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What to draw.

    Attributes:
        path: The DICOM file.
        drawn: One of our own Secondary Captures, colours and all, instead of a received film.
        size: The longer side of the PNG in pixels, at most.
    """

    path: Path
    drawn: bool = False
    size: int = FULL_SIZE
