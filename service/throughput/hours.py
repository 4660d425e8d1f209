"""The figures of one hour, and of several hours together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from service.throughput.balance import Balance, total
from service.throughput.histogram import LatencyHistogram, merged

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many jobs waited without a draft at one moment, and the age of the oldest in seconds."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HourFigures:
    """What happened in one hour, or in several.

    Attributes:
        hour: Its beginning, in UTC.
        balance: Of the studies that were received, and of the jobs that were made, in this time.
        latency: Of the jobs that were made in this time: from the last image to the confirmed draft.
        failures: Jobs that failed in this time, by the code of the cause.
        callers: Jobs made, by calling AE.
        models: Jobs made, by model and version.
        depth: The largest values in this time; None if none was measured.
    """

    hour: datetime
    balance: Balance = field(default_factory=Balance)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    failures: Mapping[str, int] = field(default_factory=dict)
    callers: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    depth: Depth | None = None


def hour_of(at: datetime) -> datetime:
    """Return the beginning of the hour of a time, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """Return the beginnings of all hours from that of `first` to that of `last`, both included."""
    hour, found = hour_of(first), []
    while hour <= last:
        found.append(hour)
        hour += HOUR
    return found


def together(hour: datetime, figures: Sequence[HourFigures]) -> HourFigures:
    """Return the figures of several hours as those of one time that begins at `hour`."""
    return HourFigures(
        hour=hour,
        balance=total(each.balance for each in figures),
        latency=merged(each.latency for each in figures),
        failures=_added(each.failures for each in figures),
        callers=_added(each.callers for each in figures),
        models=_added(each.models for each in figures),
        depth=deepest(each.depth for each in figures),
    )


def deepest(depths: Iterable[Depth | None]) -> Depth | None:
    """Return the largest values of several measurements; None without any."""
    known = [each for each in depths if each is not None]
    if not known:
        return None
    return Depth(
        waiting=max(each.waiting for each in known),
        oldest_seconds=max(each.oldest_seconds for each in known),
    )


def _added(counts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return found
