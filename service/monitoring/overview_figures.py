"""The figures of the overview's charts: of a day by hours, of a month by days."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.store import Store
from service.throughput.balance import Balance, StudyStanding, total
from service.throughput.changes import ServiceChange
from service.throughput.hours import HOUR, Depth, HourFigures, hour_of, together

_HOURS: Final = 24
_DAYS: Final = 30
_MOST_UNACCOUNTED_HOURS: Final = 48


class Span(StrEnum):
    """The time that the overview shows; the value of `range` in its URL."""

    DAY = "day"
    MONTH = "month"

    @property
    def words(self) -> str:
        """The time in words."""
        return f"the last {_HOURS} hours" if self is Span.DAY else f"the last {_DAYS} days"

    @property
    def step(self) -> str:
        """The word for one point of a chart."""
        return "hour" if self is Span.DAY else "day"


# For how many seconds figures are used again.
_FRESH_SECONDS: Final = {Span.DAY: 2.0, Span.MONTH: 15.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFigures:
    """The figures of one span.

    Attributes:
        points: One for each hour or day, the earliest first; its `hour` is its beginning.
        balance: Of the whole span.
        latency: p50 and p95 in seconds of the whole span; None without any draft.
        depth: The jobs that wait now.
        changes: Of version, model and settings in the span.
        unaccounted: Studies of any time that nothing will read.
        callers: Jobs made, by calling AE.
        models: Jobs made, by model and version.
        missing_hours: Hours of the span that the sweeper has not computed so far.
    """

    span: Span
    points: Sequence[HourFigures]
    balance: Balance
    latency: tuple[float | None, float | None]
    depth: Depth
    changes: Sequence[ServiceChange]
    unaccounted: Sequence[StudyStanding]
    callers: Mapping[str, int]
    models: Mapping[str, int]
    missing_hours: int


def overview_figures(store: Store, span: Span) -> OverviewFigures:
    """Return the figures as they are now.

    Raises:
        StoreError: The database does not answer.
    """
    now = store.now()
    begins = _beginnings(span, now)
    hours = store.hourly_figures(begins[0])
    points = _points(begins, hours)
    whole = together(begins[0], hours)
    first = store.first_hour()
    wanted = [each for each in _all_hours(begins[0], now) if first is not None and each >= first]
    return OverviewFigures(
        span=span,
        points=points,
        balance=total(each.balance for each in points),
        latency=(whole.latency.percentile(0.5), whole.latency.percentile(0.95)),
        depth=store.depth(),
        changes=store.service_changes(begins[0]),
        unaccounted=_unaccounted(store, hours),
        callers=whole.callers,
        models=whole.models,
        missing_hours=len(set(wanted) - {each.hour for each in hours}),
    )


def _beginnings(span: Span, now: datetime) -> list[datetime]:
    """Return the beginning of each point: full hours, or days of the site's time zone."""
    if span is Span.DAY:
        return [hour_of(now) - HOUR * number for number in range(_HOURS - 1, -1, -1)]
    today = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    # `astimezone` of a naive time applies the offset of its own day.
    days = [(today - timedelta(days=number)).astimezone() for number in range(_DAYS - 1, -1, -1)]
    return [hour_of(each) for each in days]


def _points(begins: Sequence[datetime], hours: Sequence[HourFigures]) -> list[HourFigures]:
    ends = [*begins[1:], None]
    return [
        together(
            begin,
            [each for each in hours if begin <= each.hour and (end is None or each.hour < end)],
        )
        for begin, end in zip(begins, ends, strict=True)
    ]


def _all_hours(first: datetime, last: datetime) -> list[datetime]:
    count = int((hour_of(last) - first) / HOUR) + 1
    return [first + HOUR * number for number in range(count)]


def _unaccounted(store: Store, hours: Sequence[HourFigures]) -> list[StudyStanding]:
    suspected = {each.hour for each in hours if not each.balance.holds}
    suspected.update(store.unaccounted_hours())
    return store.unaccounted_studies(sorted(suspected)[-_MOST_UNACCOUNTED_HOURS:])


class FigureCache:
    """Makes the figures of a span at most every few seconds; it blocks, so call it in a thread.

    While one thread makes them, the others get the previous ones.
    """

    def __init__(self, store: Store, *, longest_seconds: float = float("inf")) -> None:
        """Take the store, and for how many seconds figures are used again at most."""
        self._store = store
        self._longest = longest_seconds
        self._locks = {span: threading.Lock() for span in Span}
        self._made: dict[Span, tuple[float, OverviewFigures]] = {}

    def figures(self, span: Span) -> OverviewFigures:
        """Return the figures of a span.

        Raises:
            StoreError: The database does not answer.
        """
        made = self._made.get(span)
        if not self._locks[span].acquire(blocking=made is None):
            return made[1] if made else overview_figures(self._store, span)
        try:
            made = self._made.get(span)
            fresh = min(self._longest, _FRESH_SECONDS[span])
            if made is None or time.monotonic() - made[0] >= fresh:
                made = time.monotonic(), overview_figures(self._store, span)
                self._made[span] = made
            return made[1]
        finally:
            self._locks[span].release()

    def forget(self) -> None:
        """Make the figures again when they are next asked for."""
        self._made.clear()
