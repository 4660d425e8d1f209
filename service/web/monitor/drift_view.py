"""What the page of drift shows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup

from service.drift.alert import DriftAlert
from service.drift.kinds import KIND_WORDS
from service.drift.reference import FEWEST_READINGS
from service.drift.rows import RowKind
from service.drift.streams import STREAMS, Group, Measure, Stream
from service.evaluation.day_charts import Daily, daily_chart, statistic_chart
from service.evaluation.report import render_chart
from service.final_reports.report import FinalState
from service.store import Store
from service.store.drift.alerts import Reference, StoredChart

_TABLE_DAYS: Final = 14
_CLOSED: Final = 20
# Readings of which a reference period may be chosen.
_RECORDED_DAYS: Final = 400
_Y_TITLES: Final = {Measure.RATE: "share", Measure.NUMBER: "mean", Measure.SHARES: ""}
_GROUP_TITLES: Final = {
    Group.PERFORMANCE: "Performance: final reports and decisions",
    Group.OUTPUT: "Output: drafts",
    Group.INPUT: "Input: images and devices",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamView:
    """One stream on the page.

    Attributes:
        latest: Value and number of the last day in words.
        state: "alarm", "charted" or "no chart".
        pictures: SVG.
        charts: For each chart its name, its design, and why it is missing, if it is.
        days: The last days: day, number, value.
    """

    name: str
    title: str
    latest: str
    reference: str
    state: str
    pictures: Sequence[Markup]
    charts: Sequence[tuple[str, str]]
    days: Sequence[tuple[str, int, str]]


def drift_values(store: Store) -> dict[str, Any]:
    """Return what the template shows."""
    reference, charts = store.drift_reference(), store.drift_charts()
    opened = store.drift_alerts(only_open=True)
    every = store.drift_alerts(limit=_CLOSED)
    by_stream = _by_stream(charts)
    alarmed = {each.chart for each in opened}
    groups = [
        (
            title,
            [
                _stream(stream, by_stream.get(stream.name, ()), reference, alarmed)
                for stream in STREAMS
                if stream.group is group
            ],
        )
        for group, title in _GROUP_TITLES.items()
    ]
    since = f"{store.now() - timedelta(days=_RECORDED_DAYS):%Y-%m-%d}"
    days = store.monitor_days(since)
    readings = [(day, n) for day, kind, n in days if kind == RowKind.READING]
    return {
        "reference": reference,
        "alerts": opened,
        "case_links": {each.id: case_links(store, each) for each in opened},
        "closed": [each for each in every if each.acknowledged_at is not None],
        "groups": groups,
        "computed_at": max((each.computed_at for each in charts), default=None),
        "readings": sum(n for _, n in readings),
        "first_day": readings[0][0] if readings else "",
        "last_day": readings[-1][0] if readings else "",
        "fewest": FEWEST_READINGS,
        "final_reports": _final_reports(store),
        "hl7_messages": store.hl7_messages(),
    }


def _final_reports(store: Store) -> list[tuple[str, int]]:
    counts = store.final_report_counts()
    return [(state.value, counts[state]) for state in FinalState if state in counts]


def _by_stream(charts: Sequence[StoredChart]) -> Mapping[str, Sequence[StoredChart]]:
    found: dict[str, list[StoredChart]] = defaultdict(list)
    for each in charts:
        found[each.content.get("stream", each.name)].append(each)
    return found


def _stream(
    stream: Stream,
    charts: Sequence[StoredChart],
    reference: Reference | None,
    alarmed: set[str],
) -> StreamView:
    days = [(day, n, value) for day, n, value in (charts[0].content["days"] if charts else ())]
    normal = _normal(stream, reference)
    computed = [each for each in charts if "kind" in each.content]
    state = "charted" if any(not each.content["missing"] for each in computed) else "no chart"
    if any(each.name in alarmed for each in charts):
        state = "alarm"
    return StreamView(
        name=stream.name,
        title=stream.title,
        latest=_latest(stream, days),
        reference="" if normal is None else _shown(stream, normal),
        state=state,
        pictures=_pictures(stream, days, computed, normal),
        charts=[
            (KIND_WORDS[each.content["kind"]], each.content["missing"] or each.content["design"])
            for each in computed
        ],
        days=[(day, n, _shown(stream, value)) for day, n, value in days[-_TABLE_DAYS:]],
    )


def _normal(stream: Stream, reference: Reference | None) -> float | None:
    if reference is None or stream.measure is Measure.SHARES:
        return None
    found = reference.summary.streams.get(stream.name)
    if found is None or not found.n:
        return None
    if stream.measure is Measure.RATE:
        return found.events / found.n
    return sum(found.means) / len(found.means) if found.means else None


def _latest(stream: Stream, days: Sequence[Daily]) -> str:
    if not days:
        return "no data"
    _, n, value = days[-1]
    return f"n = {n}" if stream.measure is Measure.SHARES else f"{_shown(stream, value)}, n = {n}"


def _shown(stream: Stream, value: float) -> str:
    if stream.measure is Measure.RATE:
        return f"{value:.1%}"
    return "" if stream.measure is Measure.SHARES else f"{value:.4g}"


def _pictures(
    stream: Stream, days: Sequence[Daily], charts: Sequence[StoredChart], normal: float | None
) -> list[Markup]:
    made = []
    if days and stream.measure is not Measure.SHARES:
        made.append(
            daily_chart(
                f"{stream.name}-days",
                stream.title,
                days,
                reference=normal,
                y_title=_Y_TITLES[stream.measure],
            )
        )
    paths = [
        (KIND_WORDS[each.content["kind"]], [(day, value) for day, value in each.content["path"]])
        for each in charts
    ]
    if any(points for _, points in paths):
        made.append(statistic_chart(f"{stream.name}-statistic", f"{stream.title}: charts", paths))
    # Rendered with escaping of every value.
    return [Markup(render_chart(each, alone=False)) for each in made]  # noqa: S704


def case_links(store: Store, alert: DriftAlert) -> Sequence[tuple[str, str]]:
    """Return the address from the root and the name of an alert's cases.

    Those with a withheld draft are left out: a case is one because of what its draft states.
    """
    hidden = {job.id for job in store.jobs_of(alert.cases) if job.hides_draft}
    return [
        (f"jobs/{job_id}", f"case {number}")
        for number, job_id in enumerate(alert.cases, 1)
        if job_id not in hidden
    ]
