"""Warnings that a person must see before reading a draft that is withdrawn or in doubt. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.jobs import DraftStatus, Event
from service.records import Delivery, Job, JobEvent
from service.sentence import ended

_DO_NOT_USE: Final = "Do not use this draft."
_VERIFY: Final = "Verify patient, order and image before use."
# RECALL_DONE events of earlier versions with these texts are failures.
_FAILED_BEFORE: Final = ("failed:", "it was being sent", "a person must")


class Withdrawal(StrEnum):
    """The state of a recall at one destination; shown instead of the delivery's state."""

    DONE = "WITHDRAWN"
    PENDING = "NOT_YET_WITHDRAWN"
    FAILED = "WITHDRAWAL_FAILED"
    NEVER_SENT = "NOT_SENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The warning that is shown above a draft.

    Attributes:
        status: WITHDRAWN or IN_DOUBT.
        sentence: What is wrong, why, and what to do.
        by: Who withdrew the draft, or who sent the other copy; "" if the history does not name it.
        at: When that was; None if the history does not have it.
    """

    status: DraftStatus
    sentence: str
    by: str = ""
    at: datetime | None = None


def alarm_sentence(job: Job) -> str:
    """Return the warning for a job's draft as text, or ""."""
    match job.draft_status:
        case DraftStatus.WITHDRAWN:
            return f"{job.reason.rstrip('.') or 'Withdrawn'}. {_DO_NOT_USE}"
        case DraftStatus.IN_DOUBT:
            return f"In doubt: {job.doubt} {_VERIFY}"
        case _:
            return ""


def alarm(job: Job, events: Sequence[JobEvent]) -> Alarm | None:
    """Return the warning for a job's draft with its actor and time, or None."""
    sentence = alarm_sentence(job)
    if not sentence:
        return None
    word = Event.RECALL if job.draft_status is DraftStatus.WITHDRAWN else Event.DOUBT
    matching = [each for each in events if each.action == word]
    if not matching:
        return Alarm(status=job.draft_status, sentence=sentence)
    return Alarm(
        status=job.draft_status, sentence=sentence, by=matching[-1].actor, at=matching[-1].at
    )


def withdrawal(delivery: Delivery, events: Sequence[JobEvent]) -> tuple[Withdrawal, str]:
    """Return the state of a withdrawn draft's recall at one destination, with a sentence about it.

    Args:
        delivery: The delivery of the draft to that destination.
        events: The job's history, the oldest event first.
    """
    name, head = delivery.destination, f"{delivery.destination}: "
    matching = [each for each in events if _is_about(each, head)]
    if not matching:
        if not delivery.fence:
            return Withdrawal.NEVER_SENT, f"Nothing was sent to {name}."
        return Withdrawal.PENDING, (
            f"{name} may still show the draft without a notice: run `wetread recall` again."
        )
    reason = matching[-1].reason.removeprefix(head)
    if matching[-1].action == Event.RECALL_FAILED or reason.startswith(_FAILED_BEFORE):
        return (
            Withdrawal.FAILED,
            f"{name} may still show the draft without a notice: {ended(reason)}",
        )
    if not delivery.fence:
        return Withdrawal.NEVER_SENT, f"{name}: {ended(reason)}"
    return Withdrawal.DONE, f"{name}: {ended(reason)}"


def _is_about(event: JobEvent, head: str) -> bool:
    recalls = (Event.RECALL_DONE, Event.RECALL_FAILED)
    return event.action in recalls and event.reason.startswith(head)
