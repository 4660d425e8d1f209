"""The operations on jobs and studies."""

from typing import Final

from service.jobs import JobState
from service.web.again import ACTIONS as MANY
from service.web.job_actions import ACTIONS
from service.web.openapi.job_models import (
    ActionDetails,
    JobInFull,
    JobList,
    ManyJobs,
    ManyResults,
    Me,
    Study,
)
from service.web.openapi.operation import (
    BEFORE,
    CONFLICT,
    CURSOR,
    LIMIT,
    TEXT,
    Once,
    Operation,
    Parameter,
    Tag,
)

_STATE: Final = Parameter(
    name="state",
    description="Only jobs in these states; repeatable.",
    schema={"type": "array", "items": {"type": "string", "enum": [str(each) for each in JobState]}},
)
_STUDY: Final = Parameter(
    name="study",
    description="Only jobs of this Study Instance UID.",
    schema=TEXT,
)
_SUMMARIES: Final = {
    "retry": "Send the results again if the job has a draft, otherwise read its study again.",
    "cancel": "Cancel a job; results that a PACS has stay there.",
    "urgent": "Read the study before routine studies.",
    "resend": "Send the results again, to all destinations or to one.",
    "reread": "Read the study again by a new job, which is returned.",
}


def _action(word: str) -> Operation:
    return Operation(
        name=f"{word}Job",
        summary=_SUMMARIES[word],
        tag=Tag.JOBS,
        answer=JobInFull,
        body=ActionDetails,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    )


def _many(word: str) -> Operation:
    return Operation(
        name=f"{word}ManyJobs",
        summary=f"Carry out {word} for each of many jobs.",
        tag=Tag.JOBS,
        answer=ManyResults,
        body=ManyJobs,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    )


OPERATIONS: Final = {
    ("GET", "/api/me"): Operation(
        name="me", summary="Return the person who is logged in.", tag=Tag.SERVICE, answer=Me
    ),
    ("GET", "/api/jobs"): Operation(
        name="listJobs",
        summary="List jobs, the newest first.",
        tag=Tag.JOBS,
        answer=JobList,
        parameters=(_STATE, _STUDY, LIMIT, CURSOR, BEFORE),
    ),
    ("GET", "/api/jobs/{job_id}"): Operation(
        name="job",
        summary="Return a job with its draft, deliveries, notices, objects and history.",
        tag=Tag.JOBS,
        answer=JobInFull,
    ),
    ("GET", "/api/studies/{study_uid}"): Operation(
        name="study",
        summary="Return a study's jobs and Instances, without patient attributes.",
        tag=Tag.JOBS,
        answer=Study,
    ),
    **{("POST", f"/api/jobs/{{job_id}}/{word}"): _action(word) for word in ACTIONS},
    **{("POST", f"/api/jobs/{word}"): _many(word) for word in MANY},
}
