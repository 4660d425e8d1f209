"""Records of result objects and their deliveries."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.jobs import VERIFIED, DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """One result object of a job in the outbox.

    Attributes:
        kind: A `dicom.content.result_header.OutputKind`, or the kind of another version.
        path: The PS3.10 file.
        sha256: The hexadecimal SHA-256 of the whole file.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The delivery of one job's results, or of a notice, to one destination.

    Attributes:
        created_at: When it was first due; it fails if the destination is away for too long after this.
        fence: The number of the latest claim, as in a Job; 0 if sending never began.
        notice: "" for the job's results; for a notice that the draft is in doubt, the digest of the copy
            that caused it; for a verified report VERIFIED and the id of its decision.
        unlisted: The number of attempts after which the destination did not list acknowledged objects.
        read_back: If CONFIRMED: True if the objects were read back, False if the destination only
            acknowledged them; None if that is not known.
    """

    id: int
    job_id: str
    destination: str
    state: DeliveryState
    attempts: int
    not_before: datetime | None
    first_error: str
    last_error: str
    confirmed_at: datetime | None
    created_at: datetime
    fence: int = 0
    notice: str = ""
    unlisted: int = 0
    read_back: bool | None = None

    @property
    def decision_id(self) -> str:
        """The id of the decision whose verified report is delivered, or ""."""
        return self.notice.removeprefix(VERIFIED) if self.notice.startswith(VERIFIED) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """The destinations to which a job's results, and notices about its draft, are being sent."""

    results: frozenset[str]
    notices: frozenset[str]
