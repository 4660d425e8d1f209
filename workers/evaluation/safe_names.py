"""File names made of study identifiers, which may hold any character."""

import hashlib
from typing import Final
from urllib.parse import quote

from service.assessment.file_names import IMAGES

_LONGEST: Final = 150


def safe_name(identifier: str) -> str:
    """Return a file name for an identifier: itself where it is plain, otherwise percent-encoded.

    Different identifiers have different names; "." and "/" cannot lead out of a folder.
    """
    encoded = quote(identifier, safe="")
    if encoded.startswith("."):
        encoded = f"%2E{encoded[1:]}"
    if len(encoded) <= _LONGEST:
        return encoded
    return f"{encoded[:80]}-{hashlib.sha256(identifier.encode()).hexdigest()[:32]}"


def picture_name(identifier: str) -> str:
    """Return the path of a study's small picture in the folder of a run."""
    return f"{IMAGES}/{safe_name(identifier)}.jpg"
