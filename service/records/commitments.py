"""Records of the storage commitment reports (N-EVENT-REPORT) that this service owes to its peers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dicom.scu.commitment_request import CommitmentRequest


class CommitmentState(StrEnum):
    """The state of a storage commitment report; stored in `commitment_reports.state`."""

    OWED = "OWED"
    REPORTED = "REPORTED"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """A storage commitment report to a peer, and how far it is.

    Attributes:
        ae_title: AE title of the peer that requested commitment.
        host: Its address when it requested.
        port: The port for reports when it requested.
        failures: Failure Reason of each Instance that is not committed, by SOP Instance UID, as last
            determined; None until then.
        attempts: Number of attempts to determine the outcome and to send it.
        fence: Number of the latest claim, which makes earlier claims invalid.
        next_at: When the next attempt is due.
        last_error: Why the latest attempt failed; "" if none did.
        ended_at: When it was reported or given up.
    """

    id: int
    request: CommitmentRequest
    ae_title: str
    host: str
    port: int
    failures: Mapping[str, int] | None
    state: CommitmentState
    attempts: int
    fence: int
    created_at: datetime
    next_at: datetime
    last_error: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentBacklog:
    """The storage commitment reports of one peer that are owed or were given up.

    Attributes:
        oldest: When the oldest of them was requested.
        attempts: The most attempts that one of them took.
        last_error: The latest error; "" if none.
    """

    ae_title: str
    state: CommitmentState
    count: int
    oldest: datetime
    attempts: int
    last_error: str
