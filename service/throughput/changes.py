"""Changes of the service that may explain a change of its figures."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ChangeKind(StrEnum):
    """What changed; the first two are stored in `service_changes.kind`."""

    VERSION = "version"  # of Wetread
    MODEL = "model"  # what a worker has loaded
    SETTINGS = "settings"
    MODEL_CHOICE = "model choice"
    DRAFTING = "drafting"  # stopped or started


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """One change.

    Attributes:
        detail: What is in force from then on, in a few words.
    """

    at: datetime
    kind: ChangeKind
    detail: str
