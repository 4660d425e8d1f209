"""Watches for drift: makes the rows, runs the charts, opens alerts. In a thread of the sweeper.

The charts are computed again from the rows each time, so that the same rows give the same alarms. The
reading path does nothing for it.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from service.drift.alerts import alert_of
from service.drift.charts import ChartInput, ChartResult, run_charts
from service.drift.rows import MonitorRow
from service.drift.streams import STREAMS, Measure, Stream
from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.store import Store
from service.store.drift.alerts import Reference
from service.sweeper.study_measures import row_of

_EVERY: Final = 30.0
_COMPUTED_EVERY: Final = 3600.0
_MOST_BATCHES: Final = 10
_SHOWN_DAYS: Final = 120
# Charts begin at the latest so many days ago, which bounds memory and time.
_CHARTED_DAYS: Final = 180
_SETTLED: Final = timedelta(days=30)

log = get_logger(__name__)


class DriftMonitor:
    """Makes rows and runs charts; several sweepers may do so at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._computed: tuple[object, ...] = ()
        self._computed_at = float("-inf")

    def record(self) -> None:
        """Make the rows that are missing.

        Raises:
            StoreError: The database cannot be used now; the next call goes on from there.
        """
        for _ in range(_MOST_BATCHES):
            readings = self._store.readings_to_record()
            for each in readings:
                self._store.record_monitor_rows([row_of(each, local_day)], each.outcome)
            decided = self._store.record_decisions(local_day)
            reported = self._store.record_final_reports(local_day)
            if not (readings or decided or reported):
                return

    def compute_due(self) -> None:
        """Run the charts if something changed, rows at most every hour.

        Raises:
            StoreError: As `record`.
        """
        reference = self._store.drift_reference()
        starts = self._store.chart_starts(reference.id) if reference else {}
        decisive = (reference.id if reference else 0, tuple(sorted(starts.items())))
        signature = (decisive, self._store.newest_monitor_row(), local_day(self._store.now()))
        is_soon = time.monotonic() - self._computed_at < _COMPUTED_EVERY
        if signature == self._computed or (is_soon and self._computed[:1] == (decisive,)):
            return
        self.compute(reference, starts)
        self._computed, self._computed_at = signature, time.monotonic()

    def compute(self, reference: Reference | None, starts: dict[str, datetime]) -> None:
        """Run all charts over all rows, store them, and open alerts."""
        now = self._store.now()
        shown = _day_before(local_day(now), _SHOWN_DAYS)
        charted = _day_before(local_day(now), _CHARTED_DAYS)
        if reference is not None:
            charted = max(_day_before(reference.last_day, -1), charted)
        rows = self._store.monitor_rows(min(charted, shown))
        days = {stream.name: _daily(stream, rows, shown) for stream in STREAMS}
        if reference is None:
            charts = [(name, {"days": each}) for name, each in days.items()]
            self._store.store_charts(charts)
            return
        after = [row for row in rows if row.day >= charted]
        today = date.fromisoformat(local_day(now))
        given = ChartInput(summary=reference.summary, rows=after, today=today, starts=starts)
        results = list(run_charts(given))
        self._store.store_charts([(each.name, _content(each, days, shown)) for each in results])
        self._open(results, after, reference)

    def _open(
        self,
        results: Sequence[ChartResult],
        after: Sequence[MonitorRow],
        reference: Reference,
    ) -> None:
        now, before = self._store.now(), None
        known = {each.chart for each in self._store.drift_alerts(only_open=True, limit=1000)}
        for result in results:
            if result.alarm is None or result.name in known:
                continue
            if before is None:
                before = self._store.monitor_rows(reference.first_day, reference.last_day)
            changed = self._store.settings_changes(result.alarm.rows[0].at - _SETTLED)
            alert = alert_of(
                result,
                result.alarm,
                before=before,
                after=after,
                settings_changed=changed,
                now=now,
            )
            if self._store.open_alert(alert, reference.id):
                log.warning("drift_alert", chart=alert.chart, urgency=alert.level.value, n=alert.n)


def local_day(at: datetime) -> str:
    """Return the day of a time in the site's time zone, YYYY-MM-DD."""
    return f"{at.astimezone():%Y-%m-%d}"


def _day_before(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def _daily(stream: Stream, rows: Sequence[MonitorRow], since: str) -> list[tuple[str, int, float]]:
    """Return day, number and mean of each day; of shares the number only."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.kind is not stream.rows or row.day < since:
            continue
        if stream.measure is Measure.SHARES:
            values[row.day].append(0.0)
        elif stream.name in row.events:
            values[row.day].append(float(row.events[stream.name]))
        elif stream.name in row.numbers:
            values[row.day].append(row.numbers[stream.name])
    return [(day, len(each), sum(each) / len(each)) for day, each in sorted(values.items())]


def _content(
    result: ChartResult, days: dict[str, list[tuple[str, int, float]]], since: str
) -> dict[str, Any]:
    return {
        "stream": result.stream.name,
        "kind": result.kind.value,
        "design": result.design,
        "missing": result.missing,
        "path": [point for point in result.path if point[0] >= since],
        "alarm": result.alarm.words if result.alarm else "",
        "days": days[result.stream.name],
    }


def watch_until(monitor: DriftMonitor, stop: threading.Event) -> None:
    """Record and compute every 30 seconds until `stop` is set; errors of the database are logged."""
    record = Task("record drift", passed_on=(StoreError, OSError))
    compute = Task("compute drift charts", passed_on=(StoreError, OSError))
    while not stop.wait(_EVERY):
        try:
            record.attempt(monitor.record)
            compute.attempt(monitor.compute_due)
        except (StoreError, OSError) as error:
            log.warning("drift_not_computed", reason=type(error).__name__)
