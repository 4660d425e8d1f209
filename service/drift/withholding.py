"""Drafts that are withheld until the final report arrives, to measure anchoring. Pure.

A study is withheld by a keyed hash of its Study Instance UID: the same study is withheld each time, and
without the key it cannot be known beforehand which.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.stated_time import stated

_BYTES: Final = 8  # of the digest that are compared
_RANGE: Final = 1 << (8 * _BYTES)


class Release(StrEnum):
    """Why a withheld draft was released."""

    FINAL_REPORT = "final report"
    TIME_LIMIT = "time limit"
    URGENT = "urgent"  # a person made the job urgent
    REQUESTED = "requested"  # a person released it or had it sent
    ENDED = "ended"  # canceled, recalled or replaced: nothing is sent


@dataclass(frozen=True, slots=True, kw_only=True)
class WithheldCount:
    """Drafts that are withheld now, and since when the oldest is."""

    n: int
    oldest_at: datetime | None


def is_chosen(study_uid: str, key: bytes, share: float) -> bool:
    """Return whether the drafts of a study are withheld.

    Args:
        study_uid: Study Instance UID.
        key: The secret of the installation.
        share: Of all studies, 0 to 1.
    """
    digest = hmac.new(key, study_uid.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:_BYTES], "big") < share * _RANGE


def withheld_sentence(until: datetime) -> str:
    """Return what pages and job JSON say of a withheld draft."""
    return (
        "Read; the draft is withheld for the measurement of agreement: it is shown and sent when the "
        f"final report arrives, at the latest {stated(until)}."
    )


def released_sentence(why: Release, names: Sequence[str]) -> str:
    """Return the line of a job's history."""
    to = f": sent to {', '.join(names)}" if names and why is not Release.ENDED else ""
    return f"No longer withheld ({why.value}){to}."
