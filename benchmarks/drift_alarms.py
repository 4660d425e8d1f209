"""Measure the false alarms of the drift charts, and how soon they find a changed model.

    python benchmarks/drift_alarms.py [--sites 12] [--a-day 60]

Each simulated site reads 35 days as reference. It then runs a quarter of a year without change, and a
month in which, after ten days, the sentences about one finding are negated. Seeds are fixed.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.drift.charts import ChartInput, ChartResult, run_charts
from service.drift.reference import summarized
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import WATCHED_FINDINGS, WORDS, disagreement_stream, finding_stream
from service.drift.summary import ReferenceSummary

BEGIN = date(2026, 1, 5)  # a Monday
REFERENCE_DAYS = 35
QUARTER_DAYS = 91
# About what a chest service sees, of WATCHED_FINDINGS; the last is "no finding".
RATES = (0.12, 0.15, 0.08, 0.06, 0.14, 0.02, 0.45)
DEVICES = ("ACME DR-1", "ACME DR-2", "Other X")


class SimulatedSite:
    """A site with a seed that reads `a_day` studies a day; a final report comes for each."""

    def __init__(self, seed: int, *, a_day: int = 60) -> None:
        self.generator = np.random.default_rng(seed)
        self.a_day = a_day
        self.count = 0

    def days(
        self,
        first: int,
        days: int,
        *,
        rates: Sequence[float] = RATES,
        device: str = "",
        disagreement: float = 0.06,
    ) -> list[MonitorRow]:
        """Return the rows of `days` days from day number `first`."""
        rows: list[MonitorRow] = []
        for number in range(first, first + days):
            day = BEGIN + timedelta(days=number)
            # Rooms are used in turn: the share of a device differs from day to day.
            shares = self.generator.dirichlet((6, 3, 2)).cumsum()[:2]
            bright = self.generator.normal(0.5, 0.01)
            for place in range(self.generator.poisson(self.a_day)):
                self.count += 1
                at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=place)
                name = device or DEVICES[int(np.searchsorted(shares, self.generator.random()))]
                rows.append(self._reading(at, day, name, rates, bright))
                rows.append(self._final(rows[-1], disagreement))
        return rows

    def _reading(
        self, at: datetime, day: date, device: str, rates: Sequence[float], bright: float
    ) -> MonitorRow:
        drawn = self.generator.random(len(rates)) < rates
        return MonitorRow(
            kind=RowKind.READING,
            source_id=f"job{self.count}",
            job_id=f"job{self.count}",
            study_uid=f"1.2.{self.count}",
            at=at,
            day=day.isoformat(),
            categories={
                Category.DEVICE: device,
                Category.VIEW: "PA" if self.generator.random() < 0.7 else "AP",
            },
            events={
                finding_stream(each): bool(event)
                for each, event in zip(WATCHED_FINDINGS, drawn, strict=True)
            },
            numbers={
                WORDS: float(self.generator.normal(60, 15)),
                "image-mean": float(self.generator.normal(bright, 0.05)),
            },
        )

    def _final(self, reading: MonitorRow, disagreement: float) -> MonitorRow:
        drawn = self.generator.random(len(CODED_OBSERVATIONS)) < disagreement
        return MonitorRow(
            kind=RowKind.FINAL,
            source_id=f"final{self.count}",
            job_id=reading.job_id,
            study_uid=reading.study_uid,
            at=reading.at + timedelta(seconds=30),
            day=reading.day,
            categories=reading.categories,
            events={
                disagreement_stream(each): bool(event)
                for each, event in zip(CODED_OBSERVATIONS, drawn, strict=True)
            },
        )


def reference(
    site: SimulatedSite, days: int = REFERENCE_DAYS
) -> tuple[ReferenceSummary, list[MonitorRow]]:
    """Return summary and rows of the reference period."""
    rows = site.days(0, days)
    return summarized(rows, BEGIN, BEGIN + timedelta(days=days - 1)), rows


def alarms(summary: ReferenceSummary, rows: Sequence[MonitorRow], last: int) -> list[ChartResult]:
    """Return the results that alarm, up to day number `last`."""
    given = ChartInput(summary=summary, rows=rows, today=BEGIN + timedelta(days=last))
    return [each for each in run_charts(given) if each.alarm]


def flipped(observation: Observation) -> tuple[float, ...]:
    """Return the rates of a model that states a finding where it is absent, and the reverse."""
    at = WATCHED_FINDINGS.index(observation)
    return tuple(1 - rate if place == at else rate for place, rate in enumerate(RATES))


def main() -> None:
    """Print false alarms of sites without change, and the delay for each negated finding."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sites", type=int, default=12)
    parser.add_argument("--a-day", type=int, default=60)
    asked = parser.parse_args()
    false: Counter[str] = Counter()
    for seed in range(asked.sites):
        site = SimulatedSite(seed, a_day=asked.a_day)
        summary, _ = reference(site)
        end = REFERENCE_DAYS + QUARTER_DAYS
        false.update(
            each.name for each in alarms(summary, site.days(REFERENCE_DAYS, QUARTER_DAYS), end)
        )
    print(f"{asked.sites} quarters without change: {false.total()} false alarms {dict(false)}")
    for observation in CODED_OBSERVATIONS:
        site = SimulatedSite(asked.sites, a_day=asked.a_day)
        summary, _ = reference(site)
        changed = REFERENCE_DAYS + 10
        rows = site.days(REFERENCE_DAYS, 10) + site.days(changed, 20, rates=flipped(observation))
        for each in alarms(summary, rows, changed + 20):
            found = each.alarm.rows
            day = (date.fromisoformat(found[-1].day) - BEGIN).days - changed
            print(f"{observation.value} turned around: {each.name} on day {day}, n = {len(found)}")


if __name__ == "__main__":
    main()
