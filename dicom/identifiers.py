"""Validation of AE titles and UIDs, and generation of our UIDs (PS3.5 6.2 and 9)."""

import re
import uuid
from collections.abc import Iterable
from typing import Final

from dicom.errors import InvalidIdentifier

# Fixed literals: an Implementation Class UID must not be a name-based UUID generated at run time
# (PS3.5 B.2 allows UUID-derived UIDs for these only as constants).
IMPLEMENTATION_CLASS_UID: Final = "2.25.104876800206275291530918149580258223128"
IMPLEMENTATION_VERSION_NAME: Final = "WETREAD_0_1"
_UID_NAMESPACE: Final = uuid.UUID("6f1d2a5e-8f0f-5d0c-9c0e-3c5b7a1e4d92")

# Components with leading zeros violate PS3.5 9.1, but modalities send and archives accept them.
_UID = re.compile(r"\d+(?:\.\d+)+", re.ASCII)
_STRICT_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", re.ASCII)
# The default character repertoire without control characters and backslash (PS3.5 6.2, VR AE).
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


def check_uid(value: object, what: str = "UID") -> str:
    """Return `value` as a UID that is safe to store and to use in file names.

    Args:
        value: The value from the peer.
        what: Name of the attribute, for the error message.

    Raises:
        InvalidIdentifier: It is longer than 64 characters or not dotted numbers (PS3.5 9.1).
            Leading zeros are accepted: the UID is stored and copied as it was received.
    """
    text = str(value)
    if len(text) > 64 or not _UID.fullmatch(text):
        raise InvalidIdentifier(f"{what} is not a valid UID: {text[:70]!a}")
    return text


def uid_value(value: object) -> str:
    """Return a UID as archives built on DCMTK read it: up to its first NUL, without padding."""
    return str(value).partition("\0")[0].rstrip(" ")


def follows_standard(uid: str) -> bool:
    """Return whether a UID conforms strictly to PS3.5 9.1, as every UID that we generate must."""
    return len(uid) <= 64 and _STRICT_UID.fullmatch(uid) is not None


def check_ae_title(value: object) -> str:
    """Return `value` as an AE title without its insignificant spaces.

    Raises:
        InvalidIdentifier: It is blank, longer than 16 characters or contains a non-ASCII or control
            character or a backslash (PS3.5 6.2).
    """
    text = str(value)
    if not _AE_TITLE.fullmatch(text) or not text.strip():
        raise InvalidIdentifier(
            f"not a valid AE title (1 to 16 ASCII characters, no backslash): {text[:20]!a}"
        )
    return text.strip()


def derived_uid(*parts: str | int | Iterable[str]) -> str:
    """Return a deterministic UUID-derived UID: equal parts give an equal UID (PS3.5 B.2).

    Args:
        parts: Everything that determines the content of the object, in a fixed order. An iterable of
            strings is one part; its order counts.

    Returns:
        A UID of at most 44 characters under the root 2.25.
    """
    fields = [str(part) if isinstance(part, str | int) else "\\".join(part) for part in parts]
    return f"2.25.{uuid.uuid5(_UID_NAMESPACE, '|'.join(fields)).int}"
