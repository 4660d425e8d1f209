"""The reason of a row of the queue: one short phrase; the page of the job has the sentence. Pure."""

from collections.abc import Sequence
from typing import Final

from service.jobs import DeliveryState, DraftStatus, JobState
from service.records import Delivery, Job, ProcessRole
from service.web.status.status_text import ClockTime, StatusReason, SystemStatus, names_of, why

# Longer reasons are cut at a word; the title of the cell has all of it.
_LONGEST: Final = 72


def short_reason(job: Job, deliveries: Sequence[Delivery], situation: SystemStatus) -> StatusReason:
    """Return why `job` waits, failed or was not analyzed, or what is done with it now, in short."""
    if job.draft_status is DraftStatus.IN_DOUBT:
        return StatusReason("Verify patient, order and image")
    if job.draft_status is DraftStatus.WITHDRAWN:
        return StatusReason("Do not use this draft")
    match job.state:
        case JobState.SCHEDULED:
            return _scheduled(job, situation)
        case JobState.DRAFTED if job.is_withheld:
            return StatusReason("Withheld until the final report")
        case JobState.DRAFTED:
            return _drafted(deliveries, situation) or _first_sentence(job, deliveries, situation)
        case _:
            return _first_sentence(job, deliveries, situation)


def _scheduled(job: Job, situation: SystemStatus) -> StatusReason:
    if situation.stop is not None:
        return StatusReason("Drafting is stopped")
    if job.not_before is not None and job.not_before > situation.now:
        return StatusReason("Next try ", job.not_before)
    if situation.roles and job.model_name not in situation.roles:
        return StatusReason(f"No model {job.model_name} is configured")
    if situation.absent(situation.roles.get(job.model_name, ProcessRole.READING)) is not None:
        return StatusReason("No reading worker is alive")
    if situation.broker_fault or situation.cut_off_sentence:
        return StatusReason("Waiting for the message broker")
    return StatusReason(_position(situation.ahead.get(job.id)))


def _position(ahead: int | None) -> str:
    if ahead is None:
        return "Waiting in the queue"
    return f"{ahead:,} before it" if ahead else "Next in the queue"


def _drafted(deliveries: Sequence[Delivery], situation: SystemStatus) -> StatusReason | None:
    """Return the reason of a draft that is not delivered; None where its sentence is short."""
    still = [one for one in deliveries if one.state is not DeliveryState.CONFIRMED]
    if failed := [one for one in still if one.state is DeliveryState.FAILED]:
        return StatusReason(f"{names_of(failed)} did not accept it")
    paused = [one for one in still if _is_paused(one, situation)]
    if paused:
        return StatusReason(f"Deliveries to {names_of(paused)} are paused")
    if troubled := [one for one in still if one.last_error]:
        return _troubled(troubled[0], situation)
    if still and situation.absent(ProcessRole.DELIVERY) is not None:
        return StatusReason("No delivery worker is alive")
    if still and all(one.state is DeliveryState.PENDING for one in still):
        return StatusReason(f"Waiting to be sent to {names_of(still)}")
    return None


def _is_paused(delivery: Delivery, situation: SystemStatus) -> bool:
    backlog = situation.backlogs.get(delivery.destination)
    waits = delivery.state is DeliveryState.PENDING
    return waits and backlog is not None and backlog.pause is not None


def _troubled(delivery: Delivery, situation: SystemStatus) -> StatusReason:
    backlog = situation.backlogs.get(delivery.destination)
    silent = backlog is not None and backlog.unreached_since is not None
    verb = "does not answer" if silent else "did not accept it"
    if delivery.state is DeliveryState.SENDING:
        return StatusReason(f"{delivery.destination} {verb}; being sent again")
    at = delivery.not_before
    if at is None or at <= situation.now:
        return StatusReason(f"{delivery.destination} {verb}")
    return StatusReason(f"{delivery.destination} {verb}; next try ", ClockTime(at))


def _first_sentence(
    job: Job, deliveries: Sequence[Delivery], situation: SystemStatus
) -> StatusReason:
    """Return the first sentence of the whole reason, cut at a word where it is long."""
    reason = why(job, deliveries, situation)
    if not all(isinstance(each, str) for each in reason.pieces):
        return reason
    text = reason.plain().partition(". ")[0].rstrip(".")
    if len(text) <= _LONGEST:
        return StatusReason(text)
    return StatusReason(f"{text[:_LONGEST].rpartition(' ')[0].rstrip(',;:')} …")
