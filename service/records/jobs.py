"""Records of jobs, their history and their drafts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom.content.report import DraftReport
from service.jobs import ALARMS, DraftStatus, JobState, ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The place of an entry in a list that is sorted by time; the next page begins after it.

    Attributes:
        at: The entry's time: of a job its creation, of a decision when it was made.
        id: The entry's id, which orders entries of the same time.
    """

    at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
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
    """One reading of one Study by one model version, without its draft.

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
        has_draft: Whether there is a draft, also one that cannot be parsed (`JobWithDraft`).
        doubt: A sentence on how another copy of the draft's image differs; "" if there is none.
        doubted_at: When that was found.
        never_shown: Whether its draft was withdrawn while it was withheld.
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
    has_draft: bool = False
    forced: bool = False
    destinations: tuple[str, ...] | None = None
    produced_at: datetime | None = None
    published_at: datetime | None = None
    read_through: int | None = None
    removed_at: datetime | None = None
    doubt: str = ""
    doubted_at: datetime | None = None
    never_shown: bool = False

    @property
    def is_withheld(self) -> bool:
        """Whether its draft is withheld: neither shown nor sent yet."""
        return self.state is JobState.DRAFTED and self.hides_draft

    @property
    def hides_draft(self) -> bool:
        """Whether its draft must not be shown: withheld, or canceled or withdrawn while it was."""
        return self.reason_code == ReasonCode.WITHHELD or self.never_shown

    @property
    def draft_status(self) -> DraftStatus:
        """What a person must know of the draft before reading it."""
        if self.reason_code == ReasonCode.RECALLED:
            return DraftStatus.WITHDRAWN
        if self.doubt:
            return DraftStatus.IN_DOUBT
        if not self.has_draft:
            return DraftStatus.NONE
        return DraftStatus.SUPERSEDED if self.superseded_by else DraftStatus.STANDS

    @property
    def shown_state(self) -> JobState | DraftStatus | ReasonCode:
        """The state to show: the draft's status if it is an alarm, else the job's state, or WITHHELD."""
        if self.is_withheld:
            return ReasonCode.WITHHELD
        return self.draft_status if self.draft_status in ALARMS else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWithDraft(Job):
    """A job with its draft, which lists of jobs do not load.

    Attributes:
        draft: The draft; None if there is none, or if it cannot be parsed.
        draft_fault: A sentence, if there is a draft that cannot be parsed.
        drafted_image: The SOP Instance UID of the drafted image, also if the draft cannot be parsed as a
            whole; "" if not known.
    """

    draft: DraftReport | None = None
    draft_fault: str = ""
    drafted_image: str = ""

    @property
    def drafted_by(self) -> str:
        """The model's name and version in the draft; as configured if there is no readable draft."""
        if self.draft is None:
            return f"{self.model_name} {self.model_version}"
        return f"{self.draft.model.name} {self.draft.model.version}"


def first_to_read(jobs: Iterable[Job]) -> Job | None:
    """Return the job of a study whose draft a person is to read first; None if none has a draft.

    One that stands comes first, whichever model made it: then one in doubt, one that is withdrawn, one
    that another supersedes, and one that is hidden. Among equals the first given one is returned.

    Args:
        jobs: The jobs of one study, the newest first.
    """
    return min((each for each in jobs if each.has_draft), key=_reading_rank, default=None)


def _reading_rank(job: Job) -> int:
    if job.hides_draft:
        return 4
    if job.superseded_by is not None:
        return 3
    return {DraftStatus.WITHDRAWN: 2, DraftStatus.IN_DOUBT: 1}.get(job.draft_status, 0)


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
class DraftFilter:
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
