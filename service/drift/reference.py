"""The reference period: what was normal, as numbers that stay when the rows are gone. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

import numpy as np

from service.drift.rows import UNKNOWN, MonitorRow, RowKind
from service.drift.streams import CATEGORY_OF, STREAMS, Measure, Stream
from service.drift.summary import ReferenceSummary, StreamReference
from service.evaluation.control_charts.ewma import daily_means
from service.evaluation.stability import decile_edges
from service.evaluation.values import Integers

# A reference of fewer readings is not accepted; 2,000 are better.
FEWEST_READINGS: Final = 500
# A stream with fewer rows in the reference has no chart.
FEWEST_ROWS: Final = 200
FEWEST_DAYS: Final = 10
_RARE: Final = 0.05


def summarized(rows: Sequence[MonitorRow], first: date, last: date) -> ReferenceSummary:
    """Return the summary of the rows of a period, both days included."""
    by_kind: dict[RowKind, list[MonitorRow]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    return ReferenceSummary(
        days=(last - first).days + 1,
        readings=len(by_kind[RowKind.READING]),
        streams={each.name: _stream(each, by_kind[each.rows]) for each in STREAMS},
    )


def _stream(stream: Stream, rows: Sequence[MonitorRow]) -> StreamReference:
    if stream.measure is Measure.RATE:
        events = events_of(stream, rows)
        return StreamReference(n=len(events), events=sum(events))
    if stream.measure is Measure.SHARES:
        found = categories_of(stream, rows)
        counts = Counter(found)
        names = {name: place for place, name in enumerate(sorted(counts))}
        places = np.array([names[name] for name in found], dtype=np.int64)
        dispersion = _dispersion([row.day for row in rows], places, len(names))
        return StreamReference(n=counts.total(), counts=dict(counts), dispersion=dispersion)
    pairs = numbers_of(stream, rows)
    if not pairs:
        return StreamReference()
    days, values = [day for day, _ in pairs], np.array([value for _, value in pairs])
    edges = decile_edges(values)
    places = np.searchsorted(edges, values, side="right")
    bins = np.bincount(places, minlength=edges.size + 1)
    return StreamReference(
        n=len(pairs),
        means=tuple(mean for _, mean, _ in daily_means(days, values)),
        edges=tuple(edges.tolist()),
        bins=tuple(bins.tolist()),
        dispersion=_dispersion(days, places, bins.size),
    )


def _dispersion(days: Sequence[str], places: Integers, size: int) -> float:
    """Return chi-square over its degrees of freedom of the days' counts int [days, size], at least 1.

    Rare categories count as one: a single case of them would decide.
    """
    numbers = {day: number for number, day in enumerate(dict.fromkeys(days))}
    if len(numbers) < 2 or size < 2:
        return 1.0
    lines = np.array([numbers[day] for day in days], dtype=np.int64)
    table = np.bincount(lines * size + places, minlength=len(numbers) * size).reshape(-1, size)
    rare = table.sum(axis=0) < _RARE * table.sum()
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return max(1.0, float(((table - expected) ** 2 / expected).sum()) / freedom)


def events_of(stream: Stream, rows: Iterable[MonitorRow]) -> list[bool]:
    """Return the events of a RATE stream in the order of the rows to which it applies."""
    return [row.events[stream.name] for row in rows if stream.name in row.events]


def numbers_of(stream: Stream, rows: Iterable[MonitorRow]) -> list[tuple[str, float]]:
    """Return day and value of a NUMBER stream, in order."""
    return [(row.day, row.numbers[stream.name]) for row in rows if stream.name in row.numbers]


def categories_of(stream: Stream, rows: Iterable[MonitorRow]) -> list[str]:
    """Return the categories of a SHARES stream, in order."""
    category = CATEGORY_OF[stream.name]
    return [row.categories.get(category, UNKNOWN) for row in rows]
