"""The states of a Job and of a Delivery, and the transition table of a Job. Pure.

The names follow the Unified Procedure Step (PS3.4 CC.1.1): SCHEDULED, IN PROGRESS, COMPLETED,
CANCELED. DRAFTED, NOT_ANALYSED and FAILED are ours.

    SCHEDULED ──claim──▶ IN_PROGRESS ──draft──▶ DRAFTED ──confirm──▶ COMPLETED
        ▲  │                 │  │  └─not_analysed─▶ NOT_ANALYSED
        │  └─cancel─▶ CANCELED  └─fail─▶ FAILED
        └────────hand_back───┘                 retry: FAILED, NOT_ANALYSED, CANCELED ──▶ SCHEDULED
                                   cancel: IN_PROGRESS, DRAFTED, FAILED ──▶ CANCELED
                                   redeliver: FAILED, CANCELED with a draft ──▶ DRAFTED
                                   resend: COMPLETED, FAILED, CANCELED, DRAFTED ──▶ DRAFTED
"""

from enum import StrEnum
from typing import Final

LONGEST_WAIT: Final = 60.0  # seconds between two tries to read a job, at most


class JobState(StrEnum):
    """The state of a Job; stored in `jobs.state`."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    DRAFTED = "DRAFTED"
    COMPLETED = "COMPLETED"
    NOT_ANALYSED = "NOT_ANALYSED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


# The names of these states for people; those of other states are in `service.monitoring.state_names`.
JOB_NAMES: Final[dict[str, str]] = {
    JobState.SCHEDULED: "Waiting",
    JobState.IN_PROGRESS: "Reading",
    JobState.DRAFTED: "Delivering",
    JobState.COMPLETED: "Delivered",
    JobState.NOT_ANALYSED: "Not analyzed",
    JobState.FAILED: "Failed",
    JobState.CANCELED: "Canceled",
}


class DraftStatus(StrEnum):
    """What a person must know of a job's draft before reading it; the first that applies."""

    WITHDRAWN = "WITHDRAWN"  # recalled: it must not be used
    IN_DOUBT = "IN_DOUBT"  # a copy of its image came that is of another patient or is another image
    SUPERSEDED = "SUPERSEDED"
    STANDS = "STANDS"
    NONE = ""  # there is no draft


# Shown instead of the job's state, in the color of an alarm.
ALARMS: Final = (DraftStatus.WITHDRAWN, DraftStatus.IN_DOUBT)


class ReasonCode(StrEnum):
    """Why a job is in its state; stored in `jobs.reason_code`.

    There also stand the values of `dicom.reasons.Reason`, of a job that was not analyzed, and the codes
    of errors (`workers.retry_policy.code`), of a job that failed or is tried again.
    """

    RECALLED = "RECALLED"  # the draft is withdrawn
    CANCELED = "CANCELED"  # by a person
    NO_CHANGE = "NO_CHANGE"  # the image to read is that of the earlier draft, which stands
    NO_DESTINATION = "NO_DESTINATION"  # the results stay in the outbox
    NOT_DELIVERED = "NOT_DELIVERED"
    LEASE_EXPIRED = "LEASE_EXPIRED"
    WORKER_LOST = "WORKER_LOST"  # too often
    WORKER_STOPPED = "WORKER_STOPPED"
    DRAFTING_STOPPED = "DRAFTING_STOPPED"  # by a person, for all studies
    WITHHELD = "WITHHELD"  # of a draft: to measure agreement (`service.drift.withholding`)


class Event(StrEnum):
    """Entries of a job's history that are not an Action; stored in `job_events.action`."""

    SCHEDULE = "schedule"
    MAKE_URGENT = "make_urgent"
    LATER_IMAGES = "later_films"  # Instances came that change nothing
    DELIVER = "deliver"  # to one destination
    DELIVER_FAILED = "deliver_failed"
    DELIVER_CANCELED = "deliver_canceled"
    REMOVE_FILES = "remove_files"  # by retention
    REMOVE_SUPERSEDED = "remove_superseded"  # from an archive
    LOST_IMAGE = "lost_film"
    DAMAGED_IMAGE = "damaged_film"
    RECALL = "recall"
    RECALL_DONE = "recall_destination"  # its reason begins with the destination's name
    RECALL_FAILED = "recall_failed"  # so does this one's; the recall must be run again
    DOUBT = "draft_in_doubt"
    RELEASE_DRAFT = "release_draft"  # one that was withheld
    DECIDED = "decide"  # a person decided on the draft
    UNDONE = "undo_decision"
    RESEND_REPORT = "resend_report"  # a verified report
    REPORT_CONCERNED = (
        "verified_report_concerned"  # something happened to the draft of such a report
    )


class Action(StrEnum):
    """An event that changes a Job's state; stored in `job_events.action`."""

    CLAIM = "claim"  # a worker took the lease
    HAND_BACK = "hand_back"  # lease expired, worker stopping, or a temporary error
    DRAFT = "draft"  # the draft and its objects are on disk and in the database
    NOT_ANALYSED = "not_analysed"  # nothing to read, with a reason
    CONFIRM = "confirm"  # every destination has confirmed its results
    FAIL = "fail"  # a permanent error, or too many attempts
    CANCEL = "cancel"  # by a person, or by the service if a new job replaces this one
    RETRY = "retry"  # by a person: read again
    REDELIVER = "redeliver"  # by a person: the draft is kept, send it again
    RESEND = "resend"  # by a person: send the results once more, also to one destination only


TRANSITIONS: dict[tuple[JobState, Action], JobState] = {
    (JobState.SCHEDULED, Action.CLAIM): JobState.IN_PROGRESS,
    (JobState.SCHEDULED, Action.CANCEL): JobState.CANCELED,
    (JobState.SCHEDULED, Action.FAIL): JobState.FAILED,
    (JobState.IN_PROGRESS, Action.HAND_BACK): JobState.SCHEDULED,
    (JobState.IN_PROGRESS, Action.DRAFT): JobState.DRAFTED,
    (JobState.IN_PROGRESS, Action.NOT_ANALYSED): JobState.NOT_ANALYSED,
    (JobState.IN_PROGRESS, Action.FAIL): JobState.FAILED,
    (JobState.IN_PROGRESS, Action.CANCEL): JobState.CANCELED,
    (JobState.DRAFTED, Action.CONFIRM): JobState.COMPLETED,
    (JobState.DRAFTED, Action.FAIL): JobState.FAILED,
    (JobState.DRAFTED, Action.CANCEL): JobState.CANCELED,
    (JobState.FAILED, Action.RETRY): JobState.SCHEDULED,
    (JobState.FAILED, Action.REDELIVER): JobState.DRAFTED,
    (JobState.FAILED, Action.CANCEL): JobState.CANCELED,  # it is no longer needed
    (JobState.NOT_ANALYSED, Action.RETRY): JobState.SCHEDULED,
    (JobState.CANCELED, Action.RETRY): JobState.SCHEDULED,
    (JobState.CANCELED, Action.REDELIVER): JobState.DRAFTED,
    (JobState.COMPLETED, Action.RESEND): JobState.DRAFTED,
    (JobState.FAILED, Action.RESEND): JobState.DRAFTED,
    (JobState.CANCELED, Action.RESEND): JobState.DRAFTED,
    (JobState.DRAFTED, Action.RESEND): JobState.DRAFTED,
    (JobState.NOT_ANALYSED, Action.RESEND): JobState.NOT_ANALYSED,  # its notice
}

FINAL = frozenset({JobState.COMPLETED, JobState.NOT_ANALYSED, JobState.FAILED, JobState.CANCELED})


class DeliveryState(StrEnum):
    """The state of a Job's results at one Destination; stored in `deliveries.state`."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


# The `notice` of the delivery of a verified report: this, then the id of the decision.
VERIFIED: Final = "verified-"


class IllegalTransition(Exception):
    """The action is not allowed in the job's state."""


def next_state(state: JobState, action: Action) -> JobState:
    """Return the state to which `action` leads.

    Raises:
        IllegalTransition: `TRANSITIONS` does not allow the action in this state.
    """
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        message = f"a job in the state {JOB_NAMES[state]!r} does not allow {action!s}"
        raise IllegalTransition(message) from None


def allowed(state: JobState) -> frozenset[Action]:
    """Return the actions that `TRANSITIONS` allows in `state`."""
    return frozenset(action for known, action in TRANSITIONS if known is state)
