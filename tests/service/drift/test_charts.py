"""Simulated sites: no more false alarms than stated, and a changed model is found in time."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.drift.alerts import alert_of
from service.drift.charts import ChartInput, run_charts
from service.drift.designs import rate_plans
from service.drift.kinds import ChartKind, chart_name
from service.drift.reference import summarized
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import (
    STREAMS,
    WATCHED_FINDINGS,
    WORDS,
    Level,
    disagreement_stream,
    finding_stream,
)
from service.drift.summary import ReferenceSummary

BEGIN = date(2026, 1, 5)  # a Monday
# About what a chest service sees; the last is "no finding".
RATES = (0.12, 0.15, 0.08, 0.06, 0.14, 0.02, 0.45)
DEVICES = ("ACME DR-1", "ACME DR-2", "Other X")


class Simulated:
    """A site that reads so many studies a day, with a seed."""

    def __init__(self, seed, *, a_day=60):
        self.generator = np.random.default_rng(seed)
        self.a_day = a_day
        self.count = 0

    def days(self, first, days, *, rates=RATES, device=None, disagreement=0.06):
        """Return the rows of so many days from day number `first`."""
        rows = []
        for number in range(first, first + days):
            day = BEGIN + timedelta(days=number)
            # Rooms are used in turn: the share of a device differs from day to day.
            shares = self.generator.dirichlet((6, 3, 2)).cumsum()[:2]
            bright = self.generator.normal(0.5, 0.01)
            for place in range(self.generator.poisson(self.a_day)):
                self.count += 1
                at = datetime(day.year, day.month, day.day, tzinfo=UTC)
                at += timedelta(seconds=60 * place)
                name = device or DEVICES[int(np.searchsorted(shares, self.generator.random()))]
                rows += self._study(at, day, name, rates, disagreement, bright)
        return rows

    def _study(self, at, day, device, rates, disagreement, bright):
        drawn = self.generator.random(len(rates)) < rates
        common = {
            "job_id": f"job{self.count}",
            "study_uid": f"1.2.{self.count}",
            "day": day.isoformat(),
            "categories": {
                Category.DEVICE: device,
                Category.VIEW: "PA" if self.generator.random() < 0.7 else "AP",
            },
        }
        reading = MonitorRow(
            kind=RowKind.READING,
            source_id=f"job{self.count}",
            at=at,
            events={
                finding_stream(each): bool(event)
                for each, event in zip(WATCHED_FINDINGS, drawn, strict=True)
            },
            numbers={
                WORDS: float(self.generator.normal(60, 15)),
                "image-mean": float(self.generator.normal(bright, 0.05)),
            },
            **common,
        )
        final = MonitorRow(
            kind=RowKind.FINAL,
            source_id=f"final{self.count}",
            at=at + timedelta(seconds=30),
            events={
                disagreement_stream(each): bool(event)
                for each, event in zip(
                    CODED_OBSERVATIONS, self.generator.random(6) < disagreement, strict=True
                )
            },
            **common,
        )
        return [reading, final]


def reference(site, days=35):
    """Return summary and rows of the reference period."""
    rows = site.days(0, days)
    return summarized(rows, BEGIN, BEGIN + timedelta(days=days - 1)), rows


def alarms(summary, rows, last):
    """Return the results that alarm."""
    given = ChartInput(summary=summary, rows=rows, today=BEGIN + timedelta(days=last))
    return [each for each in run_charts(given) if each.alarm]


def flipped(observation):
    """Return the rates of a model that states a finding where it is absent, and the reverse."""
    place = WATCHED_FINDINGS.index(observation)
    return tuple(1 - rate if at == place else rate for at, rate in enumerate(RATES))


@pytest.mark.slow
def test_no_more_false_alarms_than_stated():
    """Four sites without change, a quarter each: at most one alarm a quarter on average."""
    found = Counter()
    for seed in range(4):
        site = Simulated(seed)
        summary, _ = reference(site)
        for each in alarms(summary, site.days(35, 91), 126):
            found[each.name] += 1
    assert found.total() <= 4, found


@pytest.mark.parametrize("observation", [Observation.PNEUMOTHORAX, Observation.EDEMA])
def test_a_flipped_finding_is_found_on_its_first_day(observation):
    """A month: ten days as before, then the model's sentences about one finding are turned around."""
    site = Simulated(7)
    summary, before = reference(site)
    after = site.days(35, 10) + site.days(45, 20, rates=flipped(observation))
    results = alarms(summary, after, 65)
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


def test_a_doubled_disagreement_is_found_within_the_stated_delay():
    """Each simulated delay differs; their mean is the stated one within 25 %."""
    site = Simulated(11)
    summary, _ = reference(site)
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


def test_a_new_device_is_named_at_its_third_study():
    """And another alert names it as what changed."""
    site = Simulated(3)
    summary, before = reference(site)
    after = site.days(35, 3, device="New Z")
    results = alarms(summary, after, 38)
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


def test_darker_images_move_the_daily_mean():
    """Five standard deviations of the daily means: found in a few days, and by PSI after two weeks."""
    site = Simulated(5)
    summary, _ = reference(site)
    darker = [
        replace(row, numbers={**row.numbers, "image-mean": row.numbers["image-mean"] - 0.05})
        if row.numbers
        else row
        for row in site.days(35, 21)
    ]
    kinds = {each.kind: each for each in alarms(summary, darker, 56)}
    assert set(kinds) == {ChartKind.MEAN, ChartKind.SHAPE}
    days = {row.day for row in kinds[ChartKind.MEAN].alarm.rows}
    assert 1 <= len(days) <= 6


def test_an_acknowledged_alert_starts_its_chart_anew():
    """Rows until then count no more."""
    site = Simulated(9)
    summary, _ = reference(site)
    rows = site.days(35, 5, rates=flipped(Observation.EDEMA)) + site.days(40, 20)
    name = chart_name(finding_stream(Observation.EDEMA), ChartKind.RISE)
    given = ChartInput(summary=summary, rows=rows, today=BEGIN + timedelta(days=60))
    assert name in {each.name for each in run_charts(given) if each.alarm}
    acknowledged = next(row.at for row in rows if row.day >= "2026-02-14")
    later = replace(given, starts={name: acknowledged})
    assert name not in {each.name for each in run_charts(later) if each.alarm}


def test_a_small_reference_says_what_is_missing():
    """No chart where the reference has too few rows; nothing alarms."""
    site = Simulated(1, a_day=5)
    rows = site.days(0, 20)
    summary = summarized(rows, BEGIN, BEGIN + timedelta(days=19))
    results = list(run_charts(ChartInput(summary=summary, rows=site.days(20, 30), today=BEGIN)))
    assert all(each.missing for each in results if each.kind is not ChartKind.NEW)
    assert not [each for each in results if each.alarm]


def test_a_summary_survives_the_database():
    """As JSON and back."""
    summary, _ = reference(Simulated(2), days=12)
    assert ReferenceSummary.from_json(summary.to_json()) == replace(
        summary, streams=dict(summary.streams)
    )
