"""Agreement of drafts with final reports, against figures computed by hand."""

from datetime import UTC, datetime

import pytest

from dicom.content.report import Observation
from service.drift.agreement import agreement_of, shown_kappa
from service.drift.rows import MonitorRow, RowKind
from service.drift.streams import drafted_event, reported_event

EDEMA = Observation.EDEMA


def rows(table, kind=RowKind.FINAL):
    """Return rows with these counts: both, only the draft, only the report, neither."""
    pairs = [(True, True), (True, False), (False, True), (False, False)]
    found = [pair for pair, count in zip(pairs, table, strict=True) for _ in range(count)]
    return [
        MonitorRow(
            kind=kind,
            source_id=str(number),
            job_id="j",
            study_uid="1.2",
            at=datetime(2026, 3, 1, tzinfo=UTC),
            day="2026-03-01",
            events={drafted_event(EDEMA): ours, reported_event(EDEMA): theirs},
        )
        for number, (ours, theirs) in enumerate(found)
    ]


def of_edema(given):
    """Return the agreement about edema."""
    return next(each for each in agreement_of(given) if each.observation is EDEMA)


def test_kappa_and_ac1_of_a_table():
    """20, 5, 10, 15: observed 0.7, chance 0.5, kappa 0.4 (Cohen's own kind of example)."""
    found = of_edema(rows((20, 5, 10, 15)))
    assert found.table == (20, 5, 10, 15)
    assert found.observed.value == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    # Gwet: chance 2 q (1 - q) with q = (25 + 30) / 100.
    chance = 2 * 0.55 * 0.45
    assert found.ac1 == pytest.approx((0.7 - chance) / (1 - chance))
    assert found.interval.low < 0.4 < found.interval.high
    assert shown_kappa(found).startswith("0.40 (")


def test_few_reports_have_no_interval():
    """The counts say as much."""
    found = of_edema(rows((5, 1, 1, 5)))
    assert found.interval is None
    assert "too few for an interval" in shown_kappa(found)


def test_without_variation_kappa_is_undefined():
    """All negative: chance agreement is complete."""
    found = of_edema(rows((0, 0, 0, 30)))
    assert shown_kappa(found).startswith("undefined")
    assert found.interval is None


def test_rows_of_other_kinds_do_not_count():
    """Only final reports."""
    assert of_edema(rows((5, 0, 0, 5), RowKind.READING)).table == (0, 0, 0, 0)
