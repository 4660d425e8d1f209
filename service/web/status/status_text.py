"""Sentences that explain the state of a job to people. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.destination_backlog import Backlog, Pause
from service.jobs import DeliveryState, DraftStatus, JobState
from service.monitoring.draft_warnings import alarm_sentence
from service.records import Delivery, Job, ProcessBeat, ProcessRole, ProcessStatus
from service.records.models import DraftingStop
from service.sentence import ended

# Processes send a heartbeat every few seconds; one without a heartbeat for this long counts as dead.
ALIVE_FOR = timedelta(seconds=15)

# By `Delivery.read_back`; None for a delivery of an earlier version, which did not record it.
_CONFIRMED: Mapping[bool | None, str] = {
    True: "holds every object; read back.",
    False: "acknowledged every object; not read back.",
    None: "has confirmed what was sent.",
}


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A time that a page shows as a clock time, not relative to now."""

    at: datetime


class StatusReason:
    """A sentence with times in it; a page shows a datetime relative to now, a ClockTime as it is."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str | datetime | ClockTime) -> None:
        """Take the texts and times that make up the sentence, in order."""
        self.pieces = pieces

    def plain(self) -> str:
        """Return the sentence as text, each time in ISO 8601."""
        return "".join(_plain(each) for each in self.pieces)

    def with_prefix(self, text: str) -> "StatusReason":
        """Return the sentence with `text` before it."""
        return StatusReason(text, *self.pieces)

    def with_suffix(self, text: str) -> "StatusReason":
        """Return the sentence with `text` after it."""
        return StatusReason(*self.pieces, text)


def _plain(piece: str | datetime | ClockTime) -> str:
    if isinstance(piece, str):
        return piece
    at = piece.at if isinstance(piece, ClockTime) else piece
    return at.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemStatus:
    """The state of the whole service at one moment, as far as it affects waiting jobs.

    Attributes:
        broker_fault: Why the message broker cannot be used, a sentence, or "".
        database_fault: Why the database cannot be written, a sentence, or "".
        processes: The latest heartbeat of each process, alive or not.
        roles: The role that the workers of each configured model report, by model name; if empty, any
            reading worker may read any job.
        ahead: Number of jobs that are read before a waiting job, by job id, where known.
        urgent: Number of urgent jobs that wait and are due, by model name.
        backlogs: The state of each destination and the results that wait for it, by destination name.
        stop: The stop of drafting that holds, or None.
    """

    now: datetime
    broker_fault: str = ""
    database_fault: str = ""
    processes: Sequence[ProcessBeat] = field(default=())
    roles: Mapping[str, str] = field(default_factory=dict)
    ahead: Mapping[str, int] = field(default_factory=dict)
    urgent: Mapping[str, int] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    stop: DraftingStop | None = None

    def alive(self, process: ProcessBeat) -> bool:
        """Return whether the process sent a heartbeat lately and did not end for lack of its model."""
        return not process.load_failure and self.now - process.seen_at <= ALIVE_FOR

    def load_failure(self, role: str) -> ProcessBeat | None:
        """Return the latest worker of `role` that could not load its model, or None.

        None also while another worker of the role works, because it reads the studies.
        """
        members = [process for process in self.processes if process.role == role]
        if any(self.alive(each) and each.status is not ProcessStatus.LOADING for each in members):
            return None
        failed = [each for each in members if each.load_failure]
        return max(failed, key=lambda each: each.seen_at, default=None)

    def reporting(self, status: ProcessStatus) -> Sequence[ProcessBeat]:
        """Return the processes that are alive and report `status`."""
        return [each for each in self.processes if each.status is status and self.alive(each)]

    @property
    def cut_off_sentence(self) -> str:
        """The complaints of workers that receive nothing from the broker, or ""."""
        cut_off = self.reporting(ProcessStatus.CUT_OFF)
        return " ".join(f"{each.name} {each.complaint}." for each in cut_off)

    def absent(self, role: str) -> StatusReason | None:
        """Return a sentence that states that no process of `role` is alive, or None if one is."""
        failed = self.load_failure(role)
        members = [process for process in self.processes if process.role == role]
        if failed is None and any(self.alive(process) for process in members):
            return None
        kind, _, model = role.partition(".")
        who = f"no {kind} worker {f'of the model {model} ' if model else ''}is alive"
        if failed is not None:
            cause = failed.complaint.rstrip(".")
            return StatusReason(f"{who}: {cause}. The last try was ", failed.seen_at, ".")
        if not members:
            return StatusReason(f"{who}, and none has reported itself so far.")
        last = max(process.seen_at for process in members)
        return StatusReason(f"{who}; the last was seen ", last, ".")


def why(job: Job, deliveries: Sequence[Delivery], situation: SystemStatus) -> StatusReason:
    """Return why `job` waits, failed or was not analyzed, or what is done with it now.

    A warning about its draft comes first.
    """
    if job.draft_status is DraftStatus.WITHDRAWN:
        return StatusReason(alarm_sentence(job))
    found = state_reason(job, deliveries, situation)
    return found.with_prefix(f"{alarm_sentence(job)} ") if alarm_sentence(job) else found


def state_reason(job: Job, deliveries: Sequence[Delivery], situation: SystemStatus) -> StatusReason:
    """Return the same without the warning about the draft, for pages that show it elsewhere."""
    match job.state:
        case JobState.SCHEDULED:
            return _why_scheduled(job, situation)
        case JobState.IN_PROGRESS:
            return _why_in_progress(job, situation)
        case JobState.DRAFTED if job.is_withheld:
            return StatusReason(job.reason)
        case JobState.DRAFTED:
            return _why_drafted(deliveries, situation)
        case JobState.COMPLETED:
            return _why_completed(job, deliveries)
        case _:
            return StatusReason(job.reason or job.last_error or "No reason was recorded.")


def stopped_reason(stop: DraftingStop) -> StatusReason:
    """Return who stopped drafting, when and why, as a sentence."""
    return StatusReason(
        f"Drafting was stopped by {stop.stopped_by} ", stop.stopped_at, f": {ended(stop.reason)}"
    )


def _why_scheduled(job: Job, situation: SystemStatus) -> StatusReason:
    if situation.stop is not None:
        return stopped_reason(situation.stop)
    if job.not_before is not None and job.not_before > situation.now:
        cause = job.last_error or job.reason
        tail = f", after: {cause}" if cause else "."
        return StatusReason("Next try ", job.not_before, tail)
    if situation.roles and job.model_name not in situation.roles:
        return StatusReason(
            f"No model named {job.model_name} is configured. Add it to [[models]] and start a worker "
            "for it, or cancel this job."
        )
    absent = situation.absent(situation.roles.get(job.model_name, ProcessRole.READING))
    if absent is not None:
        return absent.with_prefix("Waiting for a worker: ")
    if broker := situation.broker_fault or situation.cut_off_sentence:
        return StatusReason(f"Waiting for the message broker: {broker}")
    return StatusReason(f"{_queue_position(job, situation)} {job.reason or ''}".rstrip())


def _queue_position(job: Job, situation: SystemStatus) -> str:
    ahead = situation.ahead.get(job.id)
    if ahead is None:
        return "Waiting in the queue."
    if ahead == 0:
        return "Waiting in the queue: it is next."
    # Urgent jobs are read first: all of them are before a job that is not urgent.
    urgent = 0 if job.urgent else min(ahead, situation.urgent.get(job.model_name, 0))
    verb = "is" if ahead == 1 else "are"
    if urgent == ahead:
        return f"Waiting in the queue: {ahead} urgent {verb} before it."
    among = f", {urgent} of them urgent" if urgent else ""
    return f"Waiting in the queue: {ahead} {verb} before it{among}."


def _why_in_progress(job: Job, situation: SystemStatus) -> StatusReason:
    holder = job.lease_owner or "a worker"
    if job.lease_until is not None and job.lease_until < situation.now:
        return StatusReason(f"{holder} sends no heartbeat; its lease ended ", job.lease_until, ".")
    attempt = f", attempt {job.attempts}" if job.attempts > 1 else ""
    return StatusReason(f"Being read by {holder}{attempt}.")


def _why_drafted(deliveries: Sequence[Delivery], situation: SystemStatus) -> StatusReason:
    still = [one for one in deliveries if one.state is not DeliveryState.CONFIRMED]
    if not still:
        return StatusReason("The draft is complete; its delivery begins.")
    failed = [one for one in still if one.state is DeliveryState.FAILED]
    pauses = list(filter(None, (_pause_of(one, situation) for one in still)))
    if pauses and not failed:
        return _why_paused(pauses[0])
    troubled = failed or [one for one in still if one.last_error]
    if troubled:
        return delivery_reason(troubled[0], situation)
    absent = situation.absent(ProcessRole.DELIVERY)
    if absent is not None:
        return absent.with_prefix("Waiting to be sent: ")
    sending = [one for one in still if one.state is DeliveryState.SENDING]
    if sending:
        return StatusReason(f"Being sent to {names_of(sending)}.")
    return delivery_reason(still[0], situation) if len(still) == 1 else _why_waiting(still)


def _why_completed(job: Job, deliveries: Sequence[Delivery]) -> StatusReason:
    if job.reason or not deliveries:
        return StatusReason(job.reason or "Every destination has confirmed the results.")
    # Completed by an earlier version, which did not record how the results were confirmed.
    held = [one for one in deliveries if one.state is DeliveryState.CONFIRMED]
    return StatusReason(f"Confirmed by {names_of(held)}." if held else "Nothing was sent.")


def delivery_reason(delivery: Delivery, situation: SystemStatus) -> StatusReason:
    """Return the state of one delivery as a sentence."""
    name = delivery.destination
    match delivery.state:
        case DeliveryState.CONFIRMED:
            return StatusReason(f"{name} {_CONFIRMED[delivery.read_back]}")
        case DeliveryState.FAILED:
            return StatusReason(f"{name} did not accept it: {delivery.last_error}")
        case DeliveryState.CANCELED:
            return StatusReason(f"Nothing more is sent to {name}.")
        case _:
            return _why_open(delivery, situation)


def _why_open(delivery: Delivery, situation: SystemStatus) -> StatusReason:
    """Return why an open delivery is not confirmed yet."""
    pause = _pause_of(delivery, situation)
    if pause is not None:
        return _why_paused(pause)
    backlog = situation.backlogs.get(delivery.destination)
    if backlog is not None and backlog.unreached_since is not None:
        return _why_unreached(delivery, backlog, backlog.unreached_since, situation.now)
    if not delivery.last_error:
        return _why_untried(delivery, backlog)
    tries = "1 try" if delivery.attempts == 1 else f"{delivery.attempts} tries"
    begun = f"{delivery.destination} did not accept it ({tries}, the first "
    cause = f"): {ended(delivery.last_error)} "
    if delivery.state is DeliveryState.SENDING:
        return StatusReason(begun, delivery.created_at, cause, "It is being sent again.")
    next_try = _next_try("Next try", delivery.not_before, situation.now)
    return StatusReason(begun, delivery.created_at, cause, *next_try)


def _pause_of(delivery: Delivery, situation: SystemStatus) -> Pause | None:
    """Return the pause for which a delivery waits; None also for one that is being sent."""
    backlog = situation.backlogs.get(delivery.destination)
    waits = delivery.state is DeliveryState.PENDING
    return backlog.pause if backlog is not None and waits else None


def _why_paused(pause: Pause) -> StatusReason:
    return StatusReason("Waiting to be sent. ", *pause.pieces())


def _why_unreached(
    delivery: Delivery, backlog: Backlog, since: datetime, now: datetime
) -> StatusReason:
    """Return why a delivery waits for a destination that cannot be reached.

    Only one due result at a time is sent there; all others wait for that try.
    """
    begun = (
        f"Waiting for {delivery.destination}, which cannot be reached since ",
        ClockTime(since),
    )
    cause = f" {ended(backlog.last_error)}"
    if delivery.state is DeliveryState.SENDING:
        return StatusReason(*begun, "; a try is under way.", cause)
    known = [each for each in (delivery.not_before, backlog.next_try_at) if each is not None]
    return StatusReason(*begun, "; ", *_next_try("next try", max(known, default=None), now), cause)


def _next_try(opening: str, at: datetime | None, now: datetime) -> tuple[str | ClockTime, ...]:
    """Return the time of the next try; a try that is due waits for a free delivery worker."""
    if at is not None and at > now:
        return f"{opening} at ", ClockTime(at), "."
    return (f"{opening} as soon as a delivery worker is free.",)


def notice_reason(notice: Delivery, situation: SystemStatus) -> StatusReason:
    """Return the state, at one destination, of the notice that a draft is in doubt, as a sentence."""
    name = notice.destination
    match notice.state:
        case DeliveryState.CONFIRMED:
            return StatusReason(f"{name} holds the notice that the draft is in doubt.")
        case DeliveryState.FAILED:
            return StatusReason(
                f"{name} did not accept the notice that the draft is in doubt: "
                f"{ended(notice.last_error)} Mark the draft there by hand, or retry this job."
            )
        case DeliveryState.CANCELED:
            return StatusReason(
                f"No notice of doubt is sent to {name}: the draft is withdrawn or was not sent there."
            )
        case _:
            return _why_open(notice, situation).with_prefix(
                "The notice that the draft is in doubt: "
            )


def _why_untried(delivery: Delivery, backlog: Backlog | None) -> StatusReason:
    name = delivery.destination
    if delivery.state is DeliveryState.SENDING:
        return StatusReason(f"Being sent to {name}.")
    if backlog is not None and backlog.is_faulty:
        opening = f"Waiting to be sent to {name}, which did not accept the latest result: "
        return StatusReason(f"{opening}{ended(backlog.last_error)}")
    return _why_waiting([delivery])


def _why_waiting(deliveries: Sequence[Delivery]) -> StatusReason:
    return StatusReason(f"Waiting to be sent to {names_of(deliveries)}.")


def names_of(deliveries: Sequence[Delivery]) -> str:
    """Return the destinations of deliveries as words: `A, B and C`."""
    names = sorted({one.destination for one in deliveries})
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
