"""Replaces identifiers by keyed hashes, which only this installation can compute."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError
from service.settings.config import Settings

_FILE: Final = "support-key"
_KEY_BYTES: Final = 32
_LENGTH: Final = 16  # hexadecimal digits: enough to tell the values of one bundle apart


class Pseudonyms:
    """Hashes of identifiers by the key of the installation (HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        """Take the key."""
        self._key = key

    def of(self, value: object) -> str:
        """Return the hash of a value; "" for None and the empty text."""
        if value is None or value == "":
            return ""
        return f"#{self.digest(str(value).encode())[:_LENGTH]}"

    def digest(self, content: bytes) -> str:
        """Return the whole keyed digest of a content, hexadecimal."""
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


def installation_key(settings: Settings) -> bytes:
    """Return the key of the installation; make it at the first use, readable by its user only.

    Raises:
        ConfigurationError: It can be neither read nor made.
    """
    path = settings.data_dir / _FILE
    try:
        _make(path)
        return _key(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the key for support bundles, {path}, cannot be used: "
            f"{getattr(error, 'strerror', None) or 'it is no hexadecimal number of 32 bytes'}. Correct "
            "its owner and mode, or remove it: a new one is made"
        ) from None


def _key(text: str) -> bytes:
    """Return the key that a file holds; with a shorter one the hashed values could be found."""
    key = bytes.fromhex(text)
    if len(key) < _KEY_BYTES:
        raise ValueError(f"{len(key)} bytes")
    return key


def _make(path: Path) -> None:
    """Make the file of the key, unless it exists; whole or not at all."""
    if path.exists():
        return
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)  # fails if another process made one meanwhile: that one is used
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)
