"""The charts over real studies, PadChest 2009 to 2017: real changes, and the same rows shuffled."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from dicom.content.report import Observation
from service.drift.charts import ChartInput, run_charts
from service.drift.designs import RatePlan, rate_plans
from service.drift.kinds import ChartKind, chart_name
from service.drift.reference import events_of, summarized
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import STREAMS, WATCHED_FINDINGS, Measure, finding_stream
from service.evaluation.control_charts.cusum import (
    CusumAlarm,
    CusumDesign,
    average_run_length,
    run_chart,
)
from tests.padchest import PadChestImage, padchest_images

LABELS = {
    Observation.ATELECTASIS: {"atelectasis", "laminar atelectasis"},
    Observation.CARDIOMEGALY: {"cardiomegaly"},
    Observation.CONSOLIDATION: {"consolidation"},
    Observation.EDEMA: {"pulmonary edema"},
    Observation.PLEURAL_EFFUSION: {"pleural effusion"},
    Observation.PNEUMOTHORAX: {"pneumothorax"},
    Observation.NO_FINDING: {"normal"},
}
BEGIN, END = "2009-01-01", "2011-01-01"  # of the reference period
QUARTERS = 20  # from 2011 on, at the volume of the reference period
RATIO, LIMIT = 1.5, 9.0  # the guide's design

Event = Callable[[PadChestImage], bool]


def states(names: set[str]) -> Event:
    """Return whether the labels of an image name one of these."""
    return lambda image: not names.isdisjoint(image.labels)


EVENTS = {
    "AP": lambda image: image.view == "AP",
    "pneumonia": states({"pneumonia"}),
    **{each.value: states(names) for each, names in LABELS.items()},
}


@pytest.fixture(scope="module")
def images():
    """The frontal images from 2009 on, in the order of their days."""
    return [each for each in padchest_images() if each.day >= BEGIN]


def shuffled(images: Sequence[PadChestImage], seed: int) -> list[PadChestImage]:
    """Return the images in random order: nothing changes over time."""
    order = np.random.default_rng(seed).permutation(len(images))
    return [images[place] for place in order]


def guide_designs(images: Sequence[PadChestImage]) -> dict[tuple[str, str], CusumDesign]:
    """Return the guide's charts of the rates in these images, by event and direction."""
    designs = {}
    for name, event in EVENTS.items():
        p0 = sum(map(event, images)) / len(images)
        for direction, p1 in (("up", p0 * RATIO), ("down", p0 / RATIO)):
            designs[name, direction] = CusumDesign(p0=p0, p1=p1, limit=LIMIT)
    return designs


def alarms_of(
    designs: Mapping[tuple[str, str], CusumDesign], images: Sequence[PadChestImage]
) -> dict[tuple[str, str], tuple[CusumAlarm, ...]]:
    """Return the alarms of the charts over these images."""
    events = {name: [event(image) for image in images] for name, event in EVENTS.items()}
    return {
        (name, direction): run_chart(design, events[name]).alarms
        for (name, direction), design in designs.items()
    }


def rows_of(images: Sequence[PadChestImage], days: Sequence[str]) -> list[MonitorRow]:
    """Return the rows that the monitor would have of these images on these days."""
    streams = {finding_stream(each): EVENTS[each.value] for each in WATCHED_FINDINGS}
    begin = datetime(2009, 1, 1, tzinfo=UTC)
    return [
        MonitorRow(
            kind=RowKind.READING,
            source_id=f"job{number}",
            job_id=f"job{number}",
            study_uid=f"1.2.{number}",
            at=begin + timedelta(minutes=number),
            day=day,
            categories={Category.DEVICE: image.device, Category.VIEW: image.view},
            events={name: event(image) for name, event in streams.items()},
        )
        for number, (image, day) in enumerate(zip(images, days, strict=True))
    ]


def test_the_guides_charts_alarm_on_the_guides_days(images):
    """AP falls on 24 March 2011, edema on 1 August; AP, which stays low, alarms 192 times."""
    before = [image for image in images if image.day < END]
    after = images[len(before) :]
    assert (len(before), len(after)) == (31_440, 79_144)
    found = alarms_of(guide_designs(before), after)
    assert len(found) == 18
    first = {chart: after[alarms[0].index].day for chart, alarms in found.items() if alarms}
    assert first["AP", "down"] == "2011-03-24"
    assert first["edema", "down"] == "2011-08-01"
    assert len(found["AP", "down"]) == 192


def test_shuffled_rows_alarm_as_often_as_computed(images):
    """At most 4 of 18 charts over 110,584 studies at their own rates; 1.9 by the run lengths."""
    designs = guide_designs(images)
    computed = sum(len(images) / average_run_length(each, each.p0) for each in designs.values())
    assert computed == pytest.approx(1.9, abs=0.05)
    counts = []
    for seed in range(3):
        found = alarms_of(designs, shuffled(images, seed))
        counts.append(sum(map(len, found.values())))
    assert max(counts) <= 4, counts
    assert abs(sum(counts) - 3 * computed) < 2 * (3 * computed) ** 0.5


def test_the_monitor_finds_both_changes_in_the_first_year(images):
    """Edema by its chart of a fall, although rare; AP by the weekly test of views."""
    rows = rows_of(images, [image.day for image in images])
    summary = summarized(
        [row for row in rows if row.day < END], date(2009, 1, 1), date(2010, 12, 31)
    )
    after = [row for row in rows if END <= row.day < "2012-01-01"]
    given = ChartInput(summary=summary, rows=after, today=date(2012, 1, 1))
    days = {each.name: each.alarm.rows[-1].day for each in run_charts(given) if each.alarm}
    assert days[chart_name(finding_stream(Observation.EDEMA), ChartKind.FALL)] == "2011-01-28"
    assert days[chart_name("view", ChartKind.SHARES)] == "2011-08-21"


def test_the_monitor_alarms_on_shuffled_rows_no_more_often_than_stated(images):
    """Half an alarm a quarter is left to the charts of rates; each alarm restarts its chart."""
    rows = rows_of(shuffled(images, 0), [image.day for image in images])
    before = [row for row in rows if row.day < END]
    summary = summarized(before, date(2009, 1, 1), date(2010, 12, 31))
    alarms = 0
    for stream in (each for each in STREAMS if each.measure is Measure.RATE):
        events = events_of(stream, (row for row in rows if row.day >= END))
        for plan in rate_plans(summary, stream).values():
            if isinstance(plan, RatePlan):
                alarms += len(run_chart(plan.design, events).alarms)
    assert 0 < alarms <= QUARTERS / 2
