"""The stages of a job from the arrival of its images to the read-back, and its attempts. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.jobs import Action, DeliveryState, JobState
from service.records import Delivery, Job, JobEvent, ReceivedInstance


class Stage(StrEnum):
    """A stage of a job, in the order in which they follow."""

    ARRIVED = "arrived"
    COMPLETE = "complete"  # no further image is expected, and the job exists
    READ = "read"
    DRAFTED = "drafted"
    SENT = "sent"
    READ_BACK = "read back"


class StageState(StrEnum):
    """How far a stage is."""

    DONE = "done"
    NOW = "now"
    WAITING = "waiting"
    FAILED = "failed"
    OMITTED = "omitted"  # it does not happen for this job


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLine:
    """One stage.

    Attributes:
        at: When it ended, or began if it is under way; of a waiting stage the next try. None if there is
            no such time.
        note: A few words beside the state, or "".
    """

    stage: Stage
    state: StageState
    at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to read a job.

    Attributes:
        worker: The name of the worker.
        ended_at: None while it lasts.
        outcome: The action that ended it, or "".
        cause: Why it ended so, as a sentence; "" if the history has no reason.
    """

    number: int
    worker: str
    began_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    cause: str = ""


_ENDS: Final = frozenset(
    {Action.HAND_BACK, Action.DRAFT, Action.NOT_ANALYSED, Action.FAIL, Action.CANCEL}
)
_ABANDONED: Final = frozenset({JobState.NOT_ANALYSED, JobState.FAILED, JobState.CANCELED})


def stages(
    job: Job,
    *,
    images: Sequence[ReceivedInstance],
    events: Sequence[JobEvent],
    deliveries: Sequence[Delivery],
) -> list[StageLine]:
    """Return the six stages of a job.

    Args:
        job: The job.
        images: The Instances of its Study that were received.
        events: The history of the job, the oldest first.
        deliveries: The deliveries of its results, without notices.
    """
    open_or_done = [each for each in deliveries if each.state is not DeliveryState.CANCELED]
    return [
        _arrived(job, images),
        StageLine(stage=Stage.COMPLETE, state=StageState.DONE, at=job.created_at),
        _read(job, events),
        _drafted(job, events),
        _sent(job, open_or_done),
        _read_back(job, open_or_done),
    ]


def attempts(events: Sequence[JobEvent]) -> list[Attempt]:
    """Return the attempts to read a job, the oldest first, each with its end and cause."""
    found: list[Attempt] = []
    for event in events:
        if event.action == Action.CLAIM:
            found.append(Attempt(number=len(found) + 1, worker=event.actor, began_at=event.at))
        elif event.action in _ENDS and found and found[-1].ended_at is None:
            found[-1] = replace(
                found[-1], ended_at=event.at, outcome=event.action, cause=event.reason
            )
    return found


def _arrived(job: Job, images: Sequence[ReceivedInstance]) -> StageLine:
    of_job = [each.received_at for each in images if each.received_at <= job.created_at]
    count = f"{len(images)} {'image' if len(images) == 1 else 'images'}"
    return StageLine(
        stage=Stage.ARRIVED,
        state=StageState.DONE,
        at=max(of_job, default=None),
        note=count if images else "the images were removed",
    )


def _read(job: Job, events: Sequence[JobEvent]) -> StageLine:
    line = StageLine(stage=Stage.READ, state=StageState.DONE)
    tries = len(attempts(events))
    note = f"{tries} attempts" if tries > 1 else ""
    match job.state:
        case JobState.SCHEDULED:
            return replace(line, state=StageState.WAITING, at=job.not_before, note=note)
        case JobState.IN_PROGRESS:
            return replace(line, state=StageState.NOW, at=_last(events, Action.CLAIM), note=note)
        case JobState.NOT_ANALYSED:
            at = _last(events, Action.NOT_ANALYSED)
            return replace(line, at=at, note="not analyzed")
    if job.has_draft:
        return replace(line, at=_last(events, Action.DRAFT), note=note)
    failed = job.state is JobState.FAILED
    state = StageState.FAILED if failed else StageState.OMITTED
    return replace(line, state=state, at=job.updated_at, note=note)


def _drafted(job: Job, events: Sequence[JobEvent]) -> StageLine:
    line = StageLine(stage=Stage.DRAFTED, state=StageState.WAITING)
    if job.has_draft:
        return replace(line, state=StageState.DONE, at=_last(events, Action.DRAFT))
    return replace(line, state=StageState.OMITTED) if job.state in _ABANDONED else line


def _sent(job: Job, deliveries: Sequence[Delivery]) -> StageLine:
    line = StageLine(stage=Stage.SENT, state=StageState.WAITING)
    if not deliveries:
        ended = job.state in _ABANDONED or job.state is JobState.COMPLETED
        return replace(line, state=StageState.OMITTED) if ended else line
    states = {each.state for each in deliveries}
    confirmed = [each for each in deliveries if each.state is DeliveryState.CONFIRMED]
    line = replace(line, note=f"{len(confirmed)} of {len(deliveries)}")
    if DeliveryState.FAILED in states:
        return replace(line, state=StageState.FAILED)
    if DeliveryState.SENDING in states:
        return replace(line, state=StageState.NOW)
    if len(confirmed) < len(deliveries):
        return line
    at = max((each.confirmed_at for each in confirmed if each.confirmed_at), default=None)
    return replace(line, state=StageState.DONE, at=at)


def _read_back(job: Job, deliveries: Sequence[Delivery]) -> StageLine:
    sent = replace(_sent(job, deliveries), stage=Stage.READ_BACK)
    read = sum(each.read_back is True for each in deliveries)
    if not deliveries:
        return sent
    note = f"{read} of {len(deliveries)}"
    if sent.state is StageState.DONE and read < len(deliveries):
        return replace(sent, state=StageState.OMITTED, note=f"{note}; others acknowledged only")
    # A delivery counts as sent when it is read back, so that both fail and wait together.
    is_open = sent.state is StageState.NOW
    return replace(sent, state=StageState.WAITING if is_open else sent.state, note=note)


def _last(events: Sequence[JobEvent], action: Action) -> datetime | None:
    return next((each.at for each in reversed(events) if each.action == action), None)


def timeline_json(lines: Sequence[StageLine], tried: Sequence[Attempt]) -> dict[str, object]:
    """Return stages and attempts as JSON types."""
    return {"stages": list(_stage_json(lines)), "reading_attempts": list(_attempt_json(tried))}


def _stage_json(lines: Sequence[StageLine]) -> Iterator[dict[str, object]]:
    for each in lines:
        at = each.at.isoformat() if each.at else None
        yield {"stage": each.stage.value, "state": each.state.value, "at": at, "note": each.note}


def _attempt_json(tried: Sequence[Attempt]) -> Iterator[dict[str, object]]:
    for each in tried:
        yield {
            "number": each.number,
            "worker": each.worker,
            "began_at": each.began_at.isoformat(),
            "ended_at": each.ended_at.isoformat() if each.ended_at else None,
            "outcome": each.outcome,
            "cause": each.cause,
        }
