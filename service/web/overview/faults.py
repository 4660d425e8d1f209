"""What is wrong now, the worst first, each with the page or the button that repairs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from service.destination_backlog import Backlog, DestinationState
from service.jobs import DraftStatus, JobState
from service.monitoring.destination_incidents import alert_after
from service.records import ProcessRole
from service.sentence import ended
from service.settings.config import Settings
from service.store import Store
from service.throughput.balance import StudyStanding
from service.web.overview.failures_view import FailureLine
from service.web.overview.parts import PartState, PartTile
from service.web.overview.words import counted, studies
from service.web.status.attention import Repair, attention_with_repair
from service.web.status.status_text import ClockTime, StatusReason, SystemStatus, stopped_reason

_LINKS: Final = {
    Repair.QUEUE: "Show these jobs",
    Repair.WORKLIST: "Open the worklist",
    Repair.MODELS: "Open Models",
    Repair.MONITOR: "Open Monitor",
    Repair.HEARTBEAT: "Show the checks",
    Repair.TOKENS: "Open Tokens",
    Repair.NETWORK: "Open Network",
}
_MOST_FAILURES: Final = 5
_RECENT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        weight: "bad" or "mild": the class in the style sheet.
        url: From the root, where it is repaired; "" where no page can.
        link: The words of the link or button.
        posts: Whether a form that posts to `url` repairs it, not a link.
    """

    weight: str
    title: str
    reason: StatusReason
    url: str = ""
    link: str = ""
    posts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the faults are found in.

    Attributes:
        unaccounted: Studies that nothing will read.
        failures: What failed and is not repaired.
        destinations: What waits for each destination, and how it answers.
        waiting: The number of jobs without a draft.
        in_doubt: The number of drafts in doubt.
    """

    situation: SystemStatus
    tiles: Sequence[PartTile]
    unaccounted: Sequence[StudyStanding]
    failures: Sequence[FailureLine]
    destinations: Sequence[Backlog]
    waiting: int
    in_doubt: int


def faults(store: Store, settings: Settings, known: Known) -> list[Fault]:
    """Return all faults: what is lost, what stops reception, reading, delivery, then the others."""
    ordered = (
        _unaccounted(known),
        _reception(known),
        _drafting(known),
        _reading(known),
        _broker(known),
        _in_doubt(known),
        _delivery(known),
        _failures(known),
        _destinations(store, settings, known),
        _others(store, settings),
    )
    found = [each for group in ordered for each in group]
    return sorted(found, key=lambda each: each.weight != "bad")


def _unaccounted(known: Known) -> Iterator[Fault]:
    count = len(known.unaccounted)
    if not count:
        return
    verb = "has" if count == 1 else "have"
    yield Fault(
        weight="bad",
        title=f"{studies(count)} {verb} no job:",
        reason=StatusReason(
            "The balance does not hold. These images were received, no job waits for them, and nothing "
            "will make one."
        ),
        url="admin/unaccounted/schedule",
        link="Make the job" if count == 1 else "Make the jobs",
        posts=True,
    )


def _reception(known: Known) -> Iterator[Fault]:
    if known.situation.database_fault:
        yield Fault(
            weight="bad",
            title="The database cannot be written, and no image is accepted:",
            reason=StatusReason(known.situation.database_fault),
            url="admin#parts",
            link="Show the parts",
        )
    for each in known.tiles:
        if each.key == "part-disk" and each.state is not PartState.GOOD:
            weight = "bad" if each.state is PartState.BAD else "mild"
            title = "The disk of the spool is full:" if weight == "bad" else "The disk fills up:"
            yield Fault(weight=weight, title=title, reason=StatusReason(each.detail))
        if each.key == f"part-{ProcessRole.RECEIVER}" and each.state is not PartState.GOOD:
            yield _of_tile(each, "No image is received now:")
        if each.key == f"part-{ProcessRole.STOW}" and each.state is not PartState.GOOD:
            yield _of_tile(each, "No image is received by STOW-RS now:")
        if each.key == f"part-{ProcessRole.SWEEPER}" and each.state is not PartState.GOOD:
            title = "The sweeper does not work, and waiting work is not published again:"
            yield _of_tile(each, title)


def _of_tile(tile: PartTile, title: str) -> Fault:
    reason = StatusReason(tile.detail or f"{tile.name}: {tile.word}.")
    if tile.state is PartState.BAD and tile.seen_at is not None:
        reason = StatusReason(f"{tile.detail} The last heartbeat was ", tile.seen_at, ".")
    return Fault(
        weight="bad", title=title, reason=reason, url=f"admin#{tile.key}", link="Show the part"
    )


def _drafting(known: Known) -> Iterator[Fault]:
    if known.situation.stop is not None:
        suffix = " Studies are received and wait."
        yield Fault(
            weight="bad",
            title="Drafting is stopped:",
            reason=stopped_reason(known.situation.stop).with_suffix(suffix),
            url="models",
            link="Start it again on the page Models",
        )


def _reading(known: Known) -> Iterator[Fault]:
    situation = known.situation
    waits = "waits" if known.waiting == 1 else "wait"
    stakes = f" {counted(known.waiting, 'job')} {waits}." if known.waiting else ""
    for role in situation.roles.values() or (ProcessRole.READING,):
        absent = situation.absent(role)
        if absent is not None:
            first = role == ProcessRole.READING
            yield Fault(
                weight="bad",
                title="Nothing is read now:" if first else "Nothing is read by one of the models:",
                reason=absent.with_suffix(stakes if first else ""),
                url="models",
                link=_LINKS[Repair.MODELS],
            )


def _broker(known: Known) -> Iterator[Fault]:
    fault, title = known.situation.broker_fault, "The message broker cannot be used, and jobs wait:"
    if not fault:
        fault = known.situation.cut_off_sentence
        title = "A worker has no connection to the message broker:"
    if fault:
        yield Fault(
            weight="bad",
            title=title,
            reason=StatusReason(fault),
            url="admin#part-broker",
            link="Show the part",
        )


def _in_doubt(known: Known) -> Iterator[Fault]:
    count = known.in_doubt
    if count:
        verb = "is" if count == 1 else "are"
        yield Fault(
            weight="bad",
            title="Drafts in doubt:",
            reason=StatusReason(
                f"{counted(count, 'draft')} {verb} about an image of which a corrected or conflicting "
                "copy was received. Verify patient, order and image."
            ),
            url=f"queue?{urlencode({'state': DraftStatus.IN_DOUBT.value})}",
            link="Show these drafts",
        )


def _delivery(known: Known) -> Iterator[Fault]:
    for each in known.tiles:
        if each.key == f"part-{ProcessRole.DELIVERY}" and each.state is PartState.BAD:
            yield _of_tile(each, "No results are sent now:")


def _destinations(store: Store, settings: Settings, known: Known) -> Iterator[Fault]:
    """Yield destinations that failed last, unless another fault already states it.

    Those that are overdue are among the others. One without waiting results is left out after a day.
    A job whose results one destination refused is in the failures only when no other destination waits
    for its results, which can take days.
    """
    now, limit = store.now(), alert_after(settings)
    listed = {line.destination for line in known.failures}
    for each in known.destinations:
        is_recent = each.failed_at is not None and now - each.failed_at < _RECENT
        matters = each.is_faulty and (is_recent or each.waiting)
        if not matters or each.destination in listed or each.is_overdue(now, limit):
            continue
        silent = each.state is DestinationState.SILENT
        yield Fault(
            weight="mild" if silent else "bad",
            title=f"{each.destination} {'does not answer' if silent else 'does not get results'}:",
            reason=StatusReason(
                *each.pieces(), f" {ended(each.last_error)}" if each.last_error else ""
            ),
            url=f"network#destination-{each.destination}",
            link=_LINKS[Repair.NETWORK],
        )


def _failures(known: Known) -> Iterator[Fault]:
    for each in known.failures[:_MOST_FAILURES]:
        yield Fault(
            weight="bad",
            title=f"{each.count:,} × {each.words}:",
            reason=StatusReason("since ", ClockTime(each.first_at), f". {each.error}"),
            url=each.url,
            link=each.link,
        )


def _others(store: Store, settings: Settings) -> Iterator[Fault]:
    delivering = urlencode({"state": JobState.DRAFTED.value})
    for (weight, title, reason), repair in attention_with_repair(store, settings):
        url = f"queue?{delivering}" if repair is Repair.QUEUE else repair.value
        yield Fault(weight=weight, title=title, reason=reason, url=url, link=_LINKS.get(repair, ""))
