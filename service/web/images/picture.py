"""The description of an image that a page shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

FULL_SIZE: Final = 1600
THUMBNAIL_SIZE: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image to render as PNG.

    Attributes:
        path: The DICOM file.
        sha256: SHA-256 of the file as it was written, for a Secondary Capture of this service, which is
            shown in its own colors; "" for a received Instance.
        stamp: Text in a band above a Secondary Capture of this service; "" for none.
        size: Maximum length of the longer side of the PNG, in pixels.
    """

    path: Path
    sha256: str = ""
    stamp: str = ""
    size: int = FULL_SIZE
