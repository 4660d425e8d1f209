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
        sha256: Of the file as it was written, of one of our own Secondary Captures, which is shown
            colours and all; "" of a received film.
        stamp: Words across the picture, of one of our own; "" for none.
        size: The longer side of the PNG in pixels, at most.
    """

    path: Path
    sha256: str = ""
    stamp: str = ""
    size: int = FULL_SIZE
