"""What the store hands out: frozen records, detached from any session, times in UTC."""

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
    """What a process can do now; stored in `processes.status`."""

    WORKING = "WORKING"
    LOADING = "LOADING"  # a reading worker loads its model
    REFUSING = "REFUSING"  # a receiver takes no images
    HINDERED = "HINDERED"  # the sweeper cannot remove files
    FAILING = "FAILING"  # a background task meets an error of this program
    CUT_OFF = "CUT_OFF"  # the broker delivers no message to a worker
    NOT_LOADED = "NOT_LOADED"  # a reading worker ended because of its model

    @property
    def words(self) -> str:
        """The status for people; the reason comes after it."""
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
    """How often the receiver did not accept the same thing of the same peer."""

    refused: NotAccepted
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """What a process reports of itself: what it does, what it can do, and why not."""

    detail: str = ""
    status: ProcessStatus = ProcessStatus.WORKING
    reason: str = ""


NOTHING: Final = Said()


class Arrival(StrEnum):
    """What the store found when an instance arrived."""

    NEW = "new"
    SAME = "same"  # the same SOP Instance UID with the same bytes: acknowledged, nothing changed
    CONFLICT = "conflict"  # the same UID with other bytes: kept apart and reported, never read


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One instance as it arrived, before the store has seen it.

    Attributes:
        instance: The film, already durable in the spool.
        calling_ae: Who sent it.
        association_id: On which association, unique among all processes and times.
        eligible: Whether it may be what is read.
        quiet_seconds: How long after it the study counts as complete if nothing else happens.
        urgent: The study's next job overtakes others.
        file_is_new: Until now its file was not there, whatever its row says.
        begins_job: Its study waits for a job because of it; False for documents and our own results.
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
    """A study that is to be read, see `Store.schedule`.

    Attributes:
        destinations: Names of where its results go, for good; when None, what the settings say of the
            caller when it is read.
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
    """One reading of one study by one model version.

    Attributes:
        revision: 1 for the first job of a study and model, then counting up; a later film or a
            person's wish makes a new revision that supersedes the one before.
        reason_code: Machine word for the state where it has one (`NOT_FRONTAL`, `LEASE_EXPIRED`).
        reason: The same for a person, one sentence; why it waits, was not analyzed or failed.
        not_before: Earliest next try, after an error that may pass.
        lease_until: While IN_PROGRESS: when the holder counts as lost.
        fence: Counts claims; a holder with an older number may write nothing.
        forced: A person asked for it: read although nothing changed.
        destinations: Names of where its results go, fixed when it was made; None in jobs made before
            this was kept, of which the caller's settings at the time of the reading say it.
        produced_at: Time of the first claim, which the results carry: a second attempt makes the same
            bytes.
        published_at: When workers were last told of it; None: not since it last changed hands.
        read_through: The last film that it reads, in order of arrival (`Store.study`).
        removed_at: When retention removed its files.
        draft_fault: A sentence, if there is a draft that cannot be read; `draft` is None then.
        drafted_image: SOP Instance UID of the image that the draft is about, "" if not known; also of
            a draft that cannot be read as a whole.
        doubt: A sentence, if another copy of the draft's image came: in what it differs.
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
        """Name and version of the model as the draft gives them; as configured if it cannot be read."""
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
        """What stands where the state is shown: that of the draft where it is an alarm."""
        return self.draft_status if self.draft_status in ALARMS else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDrafts:
    """Which drafts are asked for; what is None, or empty, leaves none out.

    Attributes:
        models: Names as configured or as the drafts give them.
        since: Of the draft's own time.
    """

    models: frozenset[str] = frozenset()
    version: str | None = None
    since: datetime | None = None
    study: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedModel:
    """A model by which there are drafts.

    Attributes:
        name: As it was configured.
        own_name: As its drafts give it.
        drafts: Their number.
        last: The time of the last one, None where none has a time.
    """

    name: str
    own_name: str
    version: str
    drafts: int
    last: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastClaims:
    """A job of which no claim is at work.

    Attributes:
        fence: The number of its last claim.
        kept: Names of the folders in which its results lie: numbers of claims.
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
    """One object made for a job, as it lies in the outbox.

    Attributes:
        kind: "draft-report", "findings", "overlay", "report-page".
        path: PS3.10 file.
        sha256: Hex digest of the whole file.
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
    """Where one job's results stand with one destination.

    Attributes:
        created_at: When it was first due; a destination away for too long after this fails it.
        fence: Counts claims, like that of a Job.
        notice: Empty for the job's results; for the notice that the draft is in doubt the digest of the
            copy that caused it.
        unlisted: Tries after which the destination had acknowledged objects and did not list them.
        read_back: When CONFIRMED: whether the objects were read back; False when the destination only
            acknowledged them; None when that is not known.
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
    """Destinations to which a job's results, and notices about its draft, are being sent."""

    results: frozenset[str]
    notices: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two contents of one SOP Instance UID that have not been compared yet.

    Attributes:
        first: What was read, or may be; None where its file was removed.
        second: The copy that came later and is kept apart; None where its file was removed.
        study_instance_uid: The study of the first.
        digest: Of the second.
        differs: What an earlier comparison found, "" for nothing that matters or for none.
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
    """One film as the study's page lists it.

    Attributes:
        conflict: It has the UID of another film and other content.
        differs: In what it differs from that film, where that matters; known once `compared`.
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
    """One of the service's processes, as it last reported itself.

    Attributes:
        restarts: How often the supervisor had to start it again.
        detail: What it does ("listening on port 104"); for people only.
        status: What it can do now.
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
        """Why this worker could not load its model, or ""; then it has ended."""
        return self.reason if self.status is ProcessStatus.NOT_LOADED else ""

    @property
    def complaint(self) -> str:
        """What it cannot do, and why, or ""."""
        return ": ".join(filter(None, (self.status.words, self.reason)))

    @property
    def words(self) -> str:
        """What it does, and what it cannot do, for people."""
        return ", ".join(filter(None, (self.detail, self.complaint)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What a person should know although the service went on: a refused sender, a conflict."""

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
        position: The archive's last change before which everything is here; 0 where it has none.
        compared_at: When the archive last answered; None: never.
        complete_at: When everything that it had was last here; None: never.
        missing: Studies that it has and that are not here, or not whole.
        fault: Why the latest comparison failed; "" when it did not.
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
    """A study whose films still arrive: it has no job for them until `quiet_at` or the release."""

    study_instance_uid: str
    calling_ae: str
    films: int
    quiet_at: datetime
