"""Records of processes, incidents, refusals and comparisons with archives."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from dicom.scp.refusals import NotAccepted


class ProcessRole(StrEnum):
    """The role of a process; stored in `processes.role`.

    The worker of a further model has the name of its queue: `reading.MODEL` (`service.queue.names`).
    """

    RECEIVER = "receive"
    STOW = "receive-web"
    HL7 = "receive-hl7"
    READING = "reading"
    DELIVERY = "delivery"
    SWEEPER = "sweep"
    WEB = "web"
    RECONCILE = "reconcile"
    PROBE = "probe"  # a row that exists only within a transaction


class ProcessStatus(StrEnum):
    """The status of a process; stored in `processes.status`."""

    WORKING = "WORKING"
    LOADING = "LOADING"  # a reading worker loads its model
    REFUSING = "REFUSING"  # a receiver accepts no Instances
    HINDERED = "HINDERED"  # the sweeper cannot remove files
    FAILING = "FAILING"  # a background task fails by an error in this program
    CUT_OFF = "CUT_OFF"  # the broker delivers no message to a worker
    NOT_LOADED = "NOT_LOADED"  # a reading worker ended because of its model

    @property
    def text(self) -> str:
        """The status as text, after which the reason is shown; "" for WORKING."""
        return _STATUS_WORDS[self]


_STATUS_WORDS: Final = {
    ProcessStatus.WORKING: "",
    ProcessStatus.LOADING: "loading the model",
    ProcessStatus.REFUSING: "refuses images",
    ProcessStatus.HINDERED: "cannot remove files",
    ProcessStatus.FAILING: "a background task fails",
    ProcessStatus.CUT_OFF: "receives nothing from the message broker",
    ProcessStatus.NOT_LOADED: "the model could not be loaded",
}


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The report of a process: its activity, its status, and the reason for the status."""

    detail: str = ""
    status: ProcessStatus = ProcessStatus.WORKING
    reason: str = ""


NOTHING: Final = StatusReport()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessBeat:
    """The latest heartbeat of one of the service's processes.

    Attributes:
        restarts: How often the supervisor has restarted it.
        detail: Its activity ("listening on port 104"); for people only.
        role: A `ProcessRole`, or the queue of a further model's worker.
        status: Its status.
        reason: Why it cannot work, without a patient attribute, or "".
    """

    name: str
    role: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    restarts: int
    detail: str
    status: ProcessStatus = ProcessStatus.WORKING
    reason: str = ""

    @property
    def load_failure(self) -> str:
        """Why this worker could not load its model and has ended, or ""."""
        return self.reason if self.status is ProcessStatus.NOT_LOADED else ""

    @property
    def complaint(self) -> str:
        """The status and its reason as text; "" if it is working."""
        return ": ".join(filter(None, (self.status.text, self.reason)))

    @property
    def text(self) -> str:
        """The activity, the status and its reason as text."""
        return ", ".join(filter(None, (self.detail, self.complaint)))


class IncidentKind(StrEnum):
    """The kind of an incident; stored in `incidents.kind`. docs/operations.md lists them."""

    REFUSED = "refused"  # an association
    CONFLICT = "conflict"
    LOST_IMAGE = "lost_film"
    DAMAGED_IMAGE = "damaged_film"
    DOUBT = "draft_in_doubt"
    COMMITMENT = "commitment"
    CALLERS_NOT_RELOADED = "callers_not_reloaded"
    NO_WORKER = "no_worker"
    PROCESS_DIED = "process_died"
    PROCESS_SILENT = "process_silent"
    MODEL_NOT_LOADED = "model_not_loaded"
    READING_HANGS = "reading_hangs"
    BROKER_SILENT = "broker_silent"
    DESTINATION_AWAY = "destination_away"
    DESTINATION_BACK = "destination_back"
    DESTINATION_STILL_PAUSED = "destination_still_paused"
    STUDIES_MISSING = "studies_missing"
    STUDIES_FETCHED = "studies_fetched"
    ARCHIVE_NOT_COMPARED = "archive_not_compared"
    TOKEN_ADDED = "token_added"  # noqa: S105 - no secret
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - no secret
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - no secret
    TOKEN_EXPIRES_SOON = "token_expires_soon"  # noqa: S105 - no secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - no secret
    DISK_WARN = "disk_warn"
    DISK_EARLY = "disk_early"
    DISK_FULL = "disk_full"
    DISK_NO_ROOM = "disk_no_room_to_make"
    UNDECIDED_REMOVED = "undecided_removed"
    FILES_NOT_REMOVED = "files_not_removed"
    CLOCK_LEAPT = "clock_leapt"
    BREAK_GLASS = "break_glass_login"
    AUDIT_NOT_EXPORTED = "audit_not_exported"
    PROBE_FAILED = "end_to_end_check_failed"
    PROBE_PASSED = "end_to_end_check_passed"
    NOTIFICATION_FAILED = "notification_failed"
    STUDIES_UNACCOUNTED = "studies_unaccounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An event that a person should know of although the service continued, such as a refused sender.

    Attributes:
        kind: An `IncidentKind`, or the kind of another version.
    """

    at: datetime
    actor: str
    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalCount:
    """How often the receiver refused the same thing from the same peer, and when first and last."""

    refused: NotAccepted
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The latest comparison with an archive.

    Attributes:
        position: The number of the archive's change before which everything is here; 0 if it has none.
        compared_at: When the archive last answered; None for never.
        complete_at: When everything in the archive was last here; None for never.
        missing: The number of its Studies that are not here, or not complete.
        fault: Why the latest comparison failed; "" if it did not.
    """

    archive: str
    position: int
    tried_at: datetime
    compared_at: datetime | None
    complete_at: datetime | None
    missing: int
    fault: str
