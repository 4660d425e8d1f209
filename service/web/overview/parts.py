"""The parts of the service as tiles: each process, the broker, the database and the disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.destination_backlog import Backlog, DestinationState
from service.monitoring.state_names import state_word
from service.queue.names import shadow_role
from service.records import ProcessBeat, ProcessRole, ProcessStatus
from service.settings.config import Settings
from service.system.disk_space import DiskLevel, Watermark, free_bytes
from service.web.status.status_text import SystemStatus


class PartState(StrEnum):
    """How a part is; the value is its class in the style sheet."""

    GOOD = "alive"
    WARNING = "warning"
    BAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTile:
    """One tile.

    Attributes:
        key: Its id in the page.
        word: The state in a word or two.
        seen_at: The last heartbeat; None for a part without heartbeats, or one that never sent any.
        detail: What it does, or what is wrong with it.
    """

    key: str
    name: str
    state: PartState
    word: str
    seen_at: datetime | None = None
    detail: str = ""


_FIXED: Final = (
    (ProcessRole.RECEIVER, "Receiver"),
    (ProcessRole.WEB, "Web pages"),
    (ProcessRole.SWEEPER, "Sweeper"),
)
# It refuses results for good, or they cannot be sent from here: trying again does not help.
_UNDELIVERABLE: Final = frozenset({DestinationState.REFUSING, DestinationState.CONFIGURATION})
_GIGABYTE: Final = 10**9


def part_tiles(settings: Settings, situation: SystemStatus) -> list[PartTile]:
    """Return a tile for each part that the settings need, and for each other process."""
    tiles = [_of_role(situation, role, name) for role, name in expected_roles(settings, situation)]
    return [*tiles, _broker(situation), _database(situation), _disk(settings)]


def destination_tiles(
    waiting: Sequence[Backlog], now: datetime, limit: timedelta
) -> list[PartTile]:
    """Return a tile for each destination: how it answers, and what waits for it.

    Args:
        waiting: The backlogs of the destinations.
        now: The time in the database.
        limit: The age of a waiting result above which a destination is overdue.
    """
    return [_destination(each, overdue=each.is_overdue(now, limit)) for each in waiting]


def _destination(backlog: Backlog, *, overdue: bool) -> PartTile:
    state = PartState.GOOD
    if overdue or backlog.state in _UNDELIVERABLE:
        state = PartState.BAD
    elif backlog.is_faulty or backlog.pause is not None:
        state = PartState.WARNING
    results = "1 result waits" if backlog.waiting == 1 else f"{backlog.waiting:,} results wait"
    return PartTile(
        key=f"destination-{backlog.destination}",
        name=f"Destination {backlog.destination}",
        state=state,
        word=state_word(backlog.state).lower(),
        detail=results if backlog.waiting else "",
    )


def expected_roles(settings: Settings, situation: SystemStatus) -> Iterator[tuple[str, str]]:
    """Yield the role of each process that the settings need, and its name for people."""
    yield from _FIXED
    if settings.stow.port is not None:
        yield ProcessRole.STOW, "STOW-RS receiver"
    if settings.hl7.port is not None:
        yield ProcessRole.HL7, "HL7 listener"
    several = len(situation.roles) > 1
    for model, role in situation.roles.items():
        yield role, f"Reading worker, {model}" if several else "Reading worker"
    for model in settings.shadows():
        yield shadow_role(model), f"Shadow worker, {model}"
    if settings.destinations:
        yield ProcessRole.DELIVERY, "Delivery worker"
    if settings.reconcile:
        yield ProcessRole.RECONCILE, "Comparison with archives"


def _of_role(situation: SystemStatus, role: str, name: str) -> PartTile:
    members = [each for each in situation.processes if each.role == role]
    alive = [each for each in members if situation.alive(each)]
    latest = max(members, key=lambda each: each.seen_at, default=None)
    seen_at = latest.seen_at if latest else None
    if not alive:
        failure = situation.load_failure(role)
        detail = failure.complaint if failure else "No process has reported itself lately."
        return PartTile(
            key=f"part-{role}",
            name=name,
            state=PartState.BAD,
            word="not running",
            seen_at=seen_at,
            detail=detail,
        )
    faulty = [each for each in alive if each.status is not ProcessStatus.WORKING]
    return PartTile(
        key=f"part-{role}",
        name=name,
        state=PartState.WARNING if faulty else PartState.GOOD,
        word=faulty[0].status.text if faulty else "running",
        seen_at=seen_at,
        detail=_detail(faulty or alive),
    )


def _detail(processes: list[ProcessBeat]) -> str:
    texts = dict.fromkeys(each.reason or each.detail for each in processes)
    words = "; ".join(filter(None, texts))
    restarts = sum(each.restarts for each in processes)
    parts = [words] if words else []
    parts += [f"{len(processes)} processes"] if len(processes) > 1 else []
    parts += [f"restarted {restarts} {'time' if restarts == 1 else 'times'}"] if restarts else []
    return ", ".join(parts)


def _broker(situation: SystemStatus) -> PartTile:
    fault = situation.broker_fault
    return PartTile(
        key="part-broker",
        name="Message broker",
        state=PartState.BAD if fault else PartState.GOOD,
        word="fault" if fault else "answers",
        detail=fault,
    )


def _database(situation: SystemStatus) -> PartTile:
    fault = situation.database_fault
    return PartTile(
        key="part-database",
        name="Database",
        state=PartState.BAD if fault else PartState.GOOD,
        word="cannot be written" if fault else "answers",
        detail=fault,
    )


def _disk(settings: Settings) -> PartTile:
    level = Watermark(settings).measure()
    states = {DiskLevel.ROOMY: PartState.GOOD, DiskLevel.WARN: PartState.WARNING}
    words = {DiskLevel.ROOMY: "has room", DiskLevel.WARN: "getting full"}
    try:
        free = f"{free_bytes(settings.spool_dir) / _GIGABYTE:,.0f} GB free"
    except OSError:
        free = "The folder of the spool cannot be read."
    return PartTile(
        key="part-disk",
        name="Disk of the spool",
        state=states.get(level, PartState.BAD),
        word=words.get(level, "full"),
        detail=free if level is DiskLevel.ROOMY else f"{level.sentence} {free}",
    )
