"""Digests of the settings without secrets: a change is visible, and no value leaves."""

import hashlib
import json

from service.settings.config import Settings


def settings_digest(settings: Settings) -> str:
    """Return the SHA-256 over all settings; a secret counts only as set or not set."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()


def section_digests(settings: Settings) -> dict[str, str]:
    """Return the SHA-256 of each table and of each key without a table, by its name.

    Secrets are masked as in `settings_digest`: another password gives the same digest.
    """
    masked = json.loads(settings.model_dump_json())
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for name, value in masked.items()
    }
