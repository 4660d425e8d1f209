"""Records of one period for the documents of the quality department. No patient attribute."""

from dataclasses import dataclass
from datetime import datetime

from dicom.content.report import ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentCount:
    """The incidents of one kind in a period."""

    kind: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """The drafts of one model version in a period.

    Attributes:
        model: The name of its table in the settings.
        version: As in the settings.
        drafts: Drafts made in the period.
        identity: What the latest of these drafts records of the model; None if it cannot be read.
    """

    model: str
    version: str
    drafts: int
    first_at: datetime
    last_at: datetime
    identity: ModelIdentity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange:
    """A version of Wetread, or of a loaded model, from a time on.

    Attributes:
        kind: A `service.throughput.changes.ChangeKind`.
        subject: The model; "" for Wetread itself.
    """

    at: datetime
    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStop:
    """A time for which a person stopped drafting; `started_at` is None while it holds.

    Attributes:
        reason: As typed by that person.
    """

    stopped_at: datetime
    stopped_by: str
    reason: str
    started_at: datetime | None
    started_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledDrafts:
    """Drafts of one model that one person withdrew on one day for one reason.

    Attributes:
        reason: As typed by that person.
    """

    first_at: datetime
    last_at: datetime
    actor: str
    model: str
    version: str
    reason: str
    drafts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedReference:
    """A reference period of the drift charts that a person accepted."""

    accepted_at: datetime
    accepted_by: str
    first_day: str
    last_day: str
    models: tuple[str, ...]
