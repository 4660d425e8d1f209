"""The records that the store returns and accepts: immutable, detached from any session, times in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Final

from dicom.content.report import DraftReport
from dicom.scp.refusals import NotAccepted
from dicom.study import Instance
from service.jobs import ALARMS, RECALLED, DeliveryState, DraftStatus, JobState


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
    def words(self) -> str:
        """The status as text, after which the reason is shown; "" for WORKING."""
        return _STATUS_WORDS[self]


_STATUS_WORDS: Final = {
    ProcessStatus.WORKING: "",
    ProcessStatus.LOADING: "loading the model",
    ProcessStatus.REFUSING: "refuses films",
    ProcessStatus.HINDERED: "can remove no files",
    ProcessStatus.FAILING: "a background task fails",
    ProcessStatus.CUT_OFF: "receives nothing from the message broker",
    ProcessStatus.NOT_LOADED: "the model could not be loaded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalCount:
    """How often the receiver refused the same thing from the same peer, and when first and last."""

    refused: NotAccepted
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """The report of a process: its activity, its status, and the reason for the status."""

    detail: str = ""
    status: ProcessStatus = ProcessStatus.WORKING
    reason: str = ""


NOTHING: Final = Said()


class Arrival(StrEnum):
    """What the store found when an Instance arrived."""

    NEW = "new"
    SAME = "same"  # the same SOP Instance UID with the same bytes: acknowledged, nothing changed
    CONFLICT = "conflict"  # the same UID with other bytes: stored apart and reported, never read


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One Instance as it arrived, before the store records it.

    Attributes:
        instance: The Instance, already durable in the spool.
        calling_ae: The AE title of the sender.
        association_id: The association that brought it; unique among all processes and times.
        eligible: Whether it may be selected for reading.
        quiet_seconds: Seconds without a further arrival until the Study counts as complete.
        urgent: Whether the Study's next job is urgent.
        file_is_new: Whether its file was missing until now, even if a row names it.
        begins_job: Whether the Study needs a job because of it; False for documents and our own results.
    """

    instance: Instance
    calling_ae: str
    association_id: str
    eligible: bool
    quiet_seconds: float = 2.0
    urgent: bool = False
    file_is_new: bool = False
    begins_job: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A Study that is to be read, see `Store.schedule`.

    Attributes:
        destinations: The names of the job's destinations; None for those in the settings of the calling
            AE at the time of the reading.
    """

    study_instance_uid: str
    model: str
    version: str
    calling_ae: str = ""
    urgent: bool = False
    force: bool = False
    destinations: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One reading of one Study by one model version.

    Attributes:
        revision: 1 for the first job of a Study and model, then counting up; a later Instance or a
            person's request makes a new revision that supersedes the one before.
        reason_code: The code of the reason for the state, if any (`NOT_FRONTAL`, `LEASE_EXPIRED`).
        reason: The same as a sentence: why the job waits, was not analyzed or failed.
        not_before: The earliest time of the next attempt, after a temporary error.
        lease_until: While IN_PROGRESS: when the lease expires.
        fence: The number of the latest claim; a worker with an older number may write nothing.
        forced: Whether a person requested it, so that it is read although nothing changed.
        destinations: The names of its destinations, fixed when it was made; None in older jobs, to
            which the settings of the calling AE at the time of the reading apply.
        produced_at: The time of the first claim; the results carry it, so that a second attempt makes
            the same bytes.
        published_at: When it was last published to the workers; None if it is to be published.
        read_through: The number of the last Instance that it reads, in order of arrival (`Store.study`).
        removed_at: When retention removed its files.
        draft_fault: A sentence, if there is a draft that cannot be parsed; `draft` is then None.
        drafted_image: The SOP Instance UID of the drafted image, also if the draft cannot be parsed as a
            whole; "" if not known.
        doubt: A sentence on how another copy of the draft's image differs; "" if there is none.
        doubted_at: When that was found.
    """

    id: str
    study_instance_uid: str
    calling_ae: str
    model_name: str
    model_version: str
    revision: int
    state: JobState
    urgent: bool
    reason_code: str
    reason: str
    created_at: datetime
    updated_at: datetime
    not_before: datetime | None
    attempts: int
    first_error: str
    last_error: str
    lease_owner: str
    lease_until: datetime | None
    fence: int
    supersedes: str | None
    superseded_by: str | None
    draft: DraftReport | None
    forced: bool = False
    destinations: tuple[str, ...] | None = None
    produced_at: datetime | None = None
    published_at: datetime | None = None
    read_through: int | None = None
    removed_at: datetime | None = None
    doubt: str = ""
    doubted_at: datetime | None = None
    draft_fault: str = ""
    drafted_image: str = ""

    @property
    def drafted_by(self) -> str:
        """The model's name and version in the draft; as configured if there is no readable draft."""
        if self.draft is None:
            return f"{self.model_name} {self.model_version}"
        return f"{self.draft.model.name} {self.draft.model.version}"

    @property
    def draft_status(self) -> DraftStatus:
        """What a person must know of the draft before reading it."""
        if self.reason_code == RECALLED:
            return DraftStatus.WITHDRAWN
        if self.doubt:
            return DraftStatus.IN_DOUBT
        if self.draft is None and not self.draft_fault:
            return DraftStatus.NONE
        return DraftStatus.SUPERSEDED if self.superseded_by else DraftStatus.STANDS

    @property
    def shown_state(self) -> JobState | DraftStatus:
        """The state to show: the draft's status if it is an alarm, else the job's state."""
        return self.draft_status if self.draft_status in ALARMS else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDrafts:
    """A selection of drafts; a condition that is None or empty excludes none.

    Attributes:
        models: The models' names as configured or in the drafts.
        since: Only drafts made at this time or later.
    """

    models: frozenset[str] = frozenset()
    version: str | None = None
    since: datetime | None = None
    study: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedModel:
    """A model with drafts in the database.

    Attributes:
        name: Its name as configured.
        own_name: Its name in its drafts.
        drafts: The number of its drafts.
        last: The time of the latest draft; None if no draft has a time.
    """

    name: str
    own_name: str
    version: str
    drafts: int
    last: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastClaims:
    """A job that no worker holds.

    Attributes:
        fence: The number of its last claim.
        kept: The names of the folders that hold its results, each the number of a claim.
    """

    job_id: str
    updated_at: datetime
    fence: int
    kept: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One line of a job's append-only history."""

    at: datetime
    actor: str
    action: str
    from_state: JobState | None
    to_state: JobState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """One result object of a job in the outbox.

    Attributes:
        kind: A `dicom.content.result_header.OutputKind`, such as "draft-report" or "overlay".
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
            that caused it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """The destinations to which a job's results, and notices about its draft, are being sent."""

    results: frozenset[str]
    notices: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two contents of one SOP Instance UID that have not been compared yet.

    Attributes:
        first: The Instance that was or may be read; None if its file was removed.
        second: The copy that came later and is stored apart; None if its file was removed.
        study_instance_uid: The Study of the first.
        digest: The digest of the second.
        differs: The relevant difference that an earlier comparison found, else "".
    """

    id: int
    sop_instance_uid: str
    study_instance_uid: str
    digest: str
    calling_ae: str
    differs: str
    first: Instance | None
    second: Instance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """One Instance in the list of a Study's page.

    Attributes:
        conflict: Whether it has the UID of another Instance and other content.
        differs: The relevant difference from that Instance, else ""; known once `compared`.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    received_at: datetime
    size: int
    conflict: bool
    path: Path
    compared: bool = False
    differs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessBeat:
    """The latest heartbeat of one of the service's processes.

    Attributes:
        restarts: How often the supervisor has restarted it.
        detail: Its activity ("listening on port 104"); for people only.
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
        return ": ".join(filter(None, (self.status.words, self.reason)))

    @property
    def words(self) -> str:
        """The activity, the status and its reason as text."""
        return ", ".join(filter(None, (self.detail, self.complaint)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An event that a person should know of although the service continued, such as a refused sender."""

    at: datetime
    actor: str
    kind: str
    subject: str
    detail: str


class JobNeed(Enum):
    """Whether a received Study has its job."""

    NONE = "it has a job"
    WAITS = "its job is made after the quiet time"
    OVERDUE = "nothing will make its job"
    NO_IMAGE = "it holds nothing that begins a job: documents, captures or results only"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivingStudy:
    """A Study whose Instances still arrive; its job is made at `quiet_at` or the release."""

    study_instance_uid: str
    calling_ae: str
    films: int
    quiet_at: datetime
