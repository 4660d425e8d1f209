"""Responses and bodies about jobs, studies and the person who is logged in."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dicom.content.report import DraftReport
from service.accounts import Role
from service.jobs import DeliveryState, DraftStatus, JobState
from service.monitoring.draft_warnings import Withdrawal
from service.monitoring.job_stages import Stage, StageState
from service.web.openapi.schema_types import NEXT, ModelName, Time, Uid


class Me(BaseModel):
    """The person who is logged in."""

    id: str
    login: str
    display_name: str
    roles: list[Role]


class Job(BaseModel):
    """The reading of one Study, as lists have it."""

    id: str
    study_instance_uid: Uid
    state: JobState
    why: str = Field(description="Why the job waits, failed or was not analyzed; a sentence.")
    draft_status: DraftStatus = Field(
        description="What a person must know before the draft is used; empty without a draft."
    )
    withheld: bool = Field(description="Whether the draft is withheld to measure agreement.")
    reason_code: str
    reason: str
    urgent: bool = Field(description="Whether the study is read before routine studies.")
    calling_ae: str = Field(description="AE title that sent the study.")
    model: ModelName
    revision: int = Field(description="Number of this reading of the study, from 1.")
    created_at: Time
    updated_at: Time
    not_before: Time | None = Field(description="When the next attempt is made.")
    attempts: int
    first_error: str
    last_error: str
    supersedes: str | None = Field(description="Id of the job whose draft this one supersedes.")
    superseded_by: str | None


class Alarm(BaseModel):
    """Why a draft must not be used, or not without verification."""

    status: DraftStatus
    sentence: str
    by: str
    at: Time | None


class Delivery(BaseModel):
    """The results of a job at one destination."""

    destination: str
    state: DeliveryState
    attempts: int
    not_before: Time | None
    first_error: str
    last_error: str
    confirmed_at: Time | None
    read_back: bool | None = Field(
        description="False if the destination only acknowledged the results; null before that."
    )
    withdrawal: Withdrawal | None = Field(
        default=None, description="Of a withdrawn draft: the state of its recall. Otherwise absent."
    )
    withdrawal_why: str | None = Field(default=None, description="Present with `withdrawal`.")


class StoredObject(BaseModel):
    """A result object of a job."""

    kind: str
    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    sha256: str


class JobEvent(BaseModel):
    """An entry of a job's history."""

    at: Time
    actor: str
    action: str
    from_state: JobState | None
    to_state: JobState
    reason: str


class StageOfJob(BaseModel):
    """A stage of a job, from the arrival of the images to the delivery."""

    stage: Stage
    state: StageState
    at: Time | None
    note: str


class ReadingAttempt(BaseModel):
    """An attempt to read the study."""

    number: int
    worker: str
    began_at: Time
    ended_at: Time | None
    outcome: str = Field(description="An action of `events`.")
    cause: str


class JobInFull(Job):
    """One job with its draft, stages, attempts, deliveries, notices, objects and history."""

    stages: list[StageOfJob]
    reading_attempts: list[ReadingAttempt]

    alarm: Alarm | None
    draft: DraftReport | None = Field(description="The unverified AI draft; null without one.")
    draft_fault: str = Field(description="Why this version cannot read the draft; empty otherwise.")
    deliveries: list[Delivery]
    notices: list[Delivery]
    objects: list[StoredObject]
    events: list[JobEvent]


class JobList(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next: str | None = Field(description=NEXT)


class Image(BaseModel):
    """A received Instance."""

    sop_instance_uid: Uid
    sop_class_uid: Uid
    series_instance_uid: Uid
    transfer_syntax_uid: Uid
    calling_ae: str
    received_at: Time
    bytes: int
    conflict: bool = Field(
        description="Whether it is a conflicting copy: stored apart, never read."
    )
    differs: str = Field(description="Of a conflict that puts a draft in doubt: the differences.")


class Study(BaseModel):
    """A study: its jobs and Instances, without patient attributes."""

    study_instance_uid: Uid
    jobs: list[Job]
    films: list[Image]


class ActionDetails(BaseModel):
    """Details of an action on a job; may be {}."""

    model_config = ConfigDict(title="ActionDetails")

    reason: str = Field(default="", description="Stored in the job's history: no patient's name.")
    destination: str = Field(default="", description="For resend: the only destination.")
    model: str = Field(default="", description="For reread: the model; the job's own if empty.")


class Selection(BaseModel):
    """Conditions that jobs must meet, all of them; an empty value is no condition."""

    model_config = ConfigDict(extra="forbid")

    state: list[JobState] | None = None
    since: Annotated[Time | None, Field(description="Created at this time or later.")] = None
    until: Annotated[Time | None, Field(description="Created before this time.")] = None
    destination: str | None = None
    study: str | None = None
    model: str | None = None


class ManyJobs(ActionDetails):
    """The jobs of an action, by id or by conditions."""

    model_config = ConfigDict(title="ManyJobs")

    jobs: list[str] = Field(default=[], description="Ids of jobs.")
    select: Selection = Field(
        default=Selection(),
        description="Conditions. Without `state`, COMPLETED and FAILED jobs are selected, for reread "
        "also NOT_ANALYSED ones.",
    )


class JobDone(BaseModel):
    """A job that was changed."""

    job: str = Field(description="The id as given.")
    id: str = Field(description="Id of the changed job; of a reread that of the new job.")


class JobRefused(BaseModel):
    """A job that was not changed."""

    job: str
    error: str


class ManyResults(BaseModel):
    """What an action did to each of many jobs."""

    done: list[JobDone]
    refused: list[JobRefused]
