"""Simulated sites: false alarms within the stated rate, and a changed model is found in time."""

import importlib.util
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.drift.alerts import alert_of
from service.drift.charts import ChartInput, run_charts
from service.drift.designs import rate_plans
from service.drift.kinds import ChartKind, chart_name
from service.drift.reference import summarized
from service.drift.rows import MonitorRow, RowKind
from service.drift.streams import (
    NOT_ANALYZED,
    STREAMS,
    Level,
    disagreement_stream,
    finding_stream,
)
from service.drift.summary import ReferenceSummary

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "drift_alarms.py"
BEGIN = date(2026, 1, 5)  # a Monday, as in the script


@pytest.fixture(scope="module")
def simulation():
    """The script that simulates sites."""
    spec = importlib.util.spec_from_file_location("drift_alarms", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_no_more_false_alarms_than_stated(simulation):
    """Four sites without change, a quarter each: at most one alarm a quarter on average."""
    found = Counter()
    for seed in range(4):
        site = simulation.SimulatedSite(seed)
        summary, _ = simulation.reference(site)
        for each in simulation.alarms(summary, site.days(35, 91), 126):
            found[each.name] += 1
    assert found.total() <= 4, found


@pytest.mark.parametrize("observation", [Observation.PNEUMOTHORAX, Observation.EDEMA])
def test_a_flipped_finding_is_found_on_its_first_day(simulation, observation):
    """A month: ten days as before, then the model's sentences about one finding are negated."""
    site = simulation.SimulatedSite(7)
    summary, before = simulation.reference(site)
    after = site.days(35, 10) + site.days(45, 20, rates=simulation.flipped(observation))
    results = simulation.alarms(summary, after, 65)
    name = chart_name(finding_stream(observation), ChartKind.RISE)
    assert [each.name for each in results] == [name]
    (result,) = results
    changed = BEGIN + timedelta(days=45)
    assert result.alarm.rows[-1].day == changed.isoformat()
    alert = alert_of(
        result,
        result.alarm,
        before=before,
        after=after,
        settings_changed=[],
        now=datetime.now(UTC),
    )
    assert alert.level is Level.LOOK
    assert len(alert.cases) == 3
    assert alert.n < 60


def test_a_doubled_disagreement_is_found_within_the_stated_delay(simulation):
    """Each simulated delay differs; their mean is the stated one within 25 %."""
    site = simulation.SimulatedSite(11)
    summary, _ = simulation.reference(site)
    stream = next(
        each for each in STREAMS if each.name == disagreement_stream(CODED_OBSERVATIONS[0])
    )
    plan = rate_plans(summary, stream)[ChartKind.RISE]
    delays = []
    for seed in range(20):
        events = np.random.default_rng(seed).random(4000) < plan.design.p1
        rows = [
            MonitorRow(
                kind=RowKind.FINAL,
                source_id=str(number),
                job_id="",
                study_uid="",
                at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=number),
                day="2026-03-01",
                events={stream.name: bool(event)},
            )
            for number, event in enumerate(events)
        ]
        given = ChartInput(summary=summary, rows=rows, today=BEGIN)
        result = next(
            each
            for each in run_charts(given)
            if each.name == chart_name(stream.name, ChartKind.RISE)
        )
        delays.append(rows.index(result.alarm.rows[-1]) + 1)
    assert np.mean(delays) == pytest.approx(plan.delay, rel=0.25)


def test_a_new_device_is_named_at_its_third_study(simulation):
    """Another alert names it as the change."""
    site = simulation.SimulatedSite(3)
    summary, before = simulation.reference(site)
    after = site.days(35, 3, device="New Z")
    results = simulation.alarms(summary, after, 38)
    new = next(each for each in results if each.kind is ChartKind.NEW)
    assert new.alarm.words == "“New Z” was not in the reference period."
    assert len(new.alarm.rows) == 3
    alert = alert_of(
        new,
        new.alarm,
        before=before,
        after=after,
        settings_changed=[after[1].at],
        now=datetime.now(UTC),
    )
    assert alert.changes[0].startswith("New device “New Z” since 2026-02-09")
    assert any(each.startswith("The settings changed on 2026-02-09") for each in alert.changes)


def test_darker_images_move_the_daily_mean(simulation):
    """Five standard deviations of the daily means: found in a few days, and by PSI after two weeks."""
    site = simulation.SimulatedSite(5)
    summary, _ = simulation.reference(site)
    darker = [
        replace(row, numbers={**row.numbers, "image-mean": row.numbers["image-mean"] - 0.05})
        if row.numbers
        else row
        for row in site.days(35, 21)
    ]
    kinds = {each.kind: each for each in simulation.alarms(summary, darker, 56)}
    assert set(kinds) == {ChartKind.MEAN, ChartKind.SHAPE}
    days = {row.day for row in kinds[ChartKind.MEAN].alarm.rows}
    assert 1 <= len(days) <= 6


def test_an_alert_of_studies_not_analyzed_names_the_reason(simulation):
    """The most frequent one, beside the reference period."""
    site = simulation.SimulatedSite(4)
    analyzed = [
        replace(row, events={**row.events, NOT_ANALYZED: False})
        for row in site.days(0, 35)
        if row.kind is RowKind.READING
    ]
    summary = summarized(analyzed, BEGIN, BEGIN + timedelta(days=34))
    refused = [
        replace(row, events={NOT_ANALYZED: True, "reason:NOT_FRONTAL": True})
        for row in site.days(35, 2)
        if row.kind is RowKind.READING
    ]
    (result,) = simulation.alarms(summary, refused, 37)
    assert result.name == chart_name(NOT_ANALYZED, ChartKind.RISE)
    alert = alert_of(
        result,
        result.alarm,
        before=analyzed,
        after=refused,
        settings_changed=[],
        now=datetime.now(UTC),
    )
    assert alert.changes[0].startswith("Most frequent reason NOT_FRONTAL: ")
    assert alert.changes[0].endswith(", 0 in the reference period.")


def test_an_acknowledged_alert_starts_its_chart_anew(simulation):
    """Earlier rows count no more."""
    site = simulation.SimulatedSite(9)
    summary, _ = simulation.reference(site)
    rows = site.days(35, 5, rates=simulation.flipped(Observation.EDEMA)) + site.days(40, 20)
    name = chart_name(finding_stream(Observation.EDEMA), ChartKind.RISE)
    given = ChartInput(summary=summary, rows=rows, today=BEGIN + timedelta(days=60))
    assert name in {each.name for each in run_charts(given) if each.alarm}
    acknowledged = next(row.at for row in rows if row.day >= "2026-02-14")
    later = replace(given, starts={name: acknowledged})
    assert name not in {each.name for each in run_charts(later) if each.alarm}


def test_a_small_reference_says_what_is_missing(simulation):
    """No chart where the reference has too few rows; nothing alarms."""
    site = simulation.SimulatedSite(1, a_day=5)
    rows = site.days(0, 20)
    summary = summarized(rows, BEGIN, BEGIN + timedelta(days=19))
    results = list(run_charts(ChartInput(summary=summary, rows=site.days(20, 30), today=BEGIN)))
    assert all(each.missing for each in results if each.kind is not ChartKind.NEW)
    assert not [each for each in results if each.alarm]


def test_a_summary_survives_the_database(simulation):
    """As JSON and back."""
    summary, _ = simulation.reference(simulation.SimulatedSite(2), days=12)
    assert ReferenceSummary.from_json(summary.to_json()) == replace(
        summary, streams=dict(summary.streams)
    )
