"""What an alert tells: since when, where it moved most, what else changed, three cases. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from service.drift.alert import DriftAlert
from service.drift.charts import Alarm, ChartResult
from service.drift.kinds import KIND_WORDS, ChartKind
from service.drift.rows import UNKNOWN, Category, MonitorRow
from service.drift.streams import LEVELS, REASON_PREFIX, WATCHED_CATEGORIES, Measure, Stream
from service.stated_time import stated

CASES: Final = 3
_FEWEST: Final = 20
_SHARE_MOVED: Final = 0.2
_MOST_CHANGES: Final = 8
# What began so long before the change may be its cause.
_BEFORE: Final = timedelta(days=14)


def alert_of(
    result: ChartResult,
    alarm: Alarm,
    *,
    before: Sequence[MonitorRow],
    after: Sequence[MonitorRow],
    settings_changed: Sequence[datetime],
    now: datetime,
) -> DriftAlert:
    """Return the alert of an alarm.

    Args:
        result: The chart.
        alarm: Its alarm.
        before: Rows of the reference period.
        after: Rows after it.
        settings_changed: When the settings in force changed.
        now: When the alert is opened.
    """
    rows = alarm.rows
    begin, end = rows[0].at, rows[-1].at
    others = _changes(before, after, begin, end, settings_changed)
    changes = (*_reasons(before, rows), *others)
    return DriftAlert(
        chart=result.name,
        title=f"{result.stream.title}: {KIND_WORDS[result.kind]}",
        level=LEVELS[result.stream.group],
        words=alarm.words,
        first=begin,
        last=end,
        n=len(rows),
        subgroup=_moved_most(result.stream, before, rows),
        changes=changes[:_MOST_CHANGES],
        cases=_cases(result, alarm),
        opened_at=now,
    )


def _value(stream: Stream, row: MonitorRow) -> float | None:
    if stream.measure is Measure.RATE:
        return float(row.events[stream.name]) if stream.name in row.events else None
    return row.numbers.get(stream.name)


def _moved_most(stream: Stream, before: Sequence[MonitorRow], rows: Sequence[MonitorRow]) -> str:
    """Return the category whose mean moved most, where both periods have enough of it."""
    found: list[tuple[float, str]] = []
    for category in WATCHED_CATEGORIES:
        then, now = (_means(stream, category, part) for part in (before, rows))
        if len(now) < 2:
            continue
        for name in then.keys() & now.keys() - {UNKNOWN}:
            (old, _), (new, n) = then[name], now[name]
            words = (
                f"It moved most with {category.value} “{name}”: {old:.3g} to {new:.3g} (n = {n})."
            )
            found.append((abs(new - old), words))
    return max(found)[1] if found else ""


def _means(
    stream: Stream, category: Category, rows: Sequence[MonitorRow]
) -> dict[str, tuple[float, int]]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        value = _value(stream, row)
        if row.kind is stream.rows and value is not None:
            values[row.categories.get(category, UNKNOWN)].append(value)
    return {
        name: (sum(each) / len(each), len(each))
        for name, each in values.items()
        if len(each) >= _FEWEST
    }


def _changes(
    before: Sequence[MonitorRow],
    after: Sequence[MonitorRow],
    begin: datetime,
    end: datetime,
    settings_changed: Sequence[datetime],
) -> Iterator[str]:
    """Yield what began shortly before or during the change."""
    window = [row for row in after if begin - _BEFORE <= row.at <= end]
    for category in Category:
        known = Counter(row.categories.get(category, UNKNOWN) for row in before)
        seen = Counter(row.categories.get(category, UNKNOWN) for row in window)
        first: dict[str, str] = {}
        for row in after:
            first.setdefault(row.categories.get(category, UNKNOWN), row.day)
        for name, count in seen.most_common():
            day = first.get(name, "")
            if name not in known and day >= f"{begin - _BEFORE:%Y-%m-%d}":
                yield f"New {category.value} “{name}” since {day} ({count} rows)."
        yield from _moved_shares(category, known, seen)
    for at in settings_changed:
        if begin - _BEFORE <= at <= end:
            yield f"The settings changed on {stated(at)}."


def _reasons(before: Sequence[MonitorRow], rows: Sequence[MonitorRow]) -> Iterator[str]:
    """Yield the most frequent reason why studies of the change were not analyzed, if any was."""
    then, now = (
        Counter(name for row in part for name in row.events if name.startswith(REASON_PREFIX))
        for part in (before, rows)
    )
    for name, count in now.most_common(1):
        code, n = name.removeprefix(REASON_PREFIX), len(rows)
        yield f"Most frequent reason {code}: {count} of {n}, {then[name]} in the reference period."


def _moved_shares(category: Category, known: Counter[str], seen: Counter[str]) -> Iterator[str]:
    if known.total() < _FEWEST or seen.total() < _FEWEST:
        return
    for name in known:
        old, new = known[name] / known.total(), seen[name] / seen.total()
        if abs(new - old) >= _SHARE_MOVED:
            yield f"Share of {category.value} “{name}”: {old:.0%} to {new:.0%}."


def _cases(result: ChartResult, alarm: Alarm) -> tuple[str, ...]:
    """Return the jobs of three rows that show the change: the latest, or the most extreme."""
    stream, rows = result.stream, alarm.rows
    if stream.measure is Measure.RATE:
        wanted = result.kind is ChartKind.RISE
        chosen = [row for row in reversed(rows) if row.events[stream.name] is wanted]
    elif stream.measure is Measure.NUMBER:
        middle = alarm.expected if alarm.expected is not None else _middle(stream, rows)
        chosen = sorted(rows, key=lambda row: -abs(row.numbers[stream.name] - middle))
    else:
        chosen = list(reversed(rows))
    return tuple(dict.fromkeys(row.job_id for row in chosen if row.job_id))[:CASES]


def _middle(stream: Stream, rows: Sequence[MonitorRow]) -> float:
    values = sorted(row.numbers[stream.name] for row in rows)
    return values[len(values) // 2]
