"""Run lengths of the CUSUM chart against the guide's table and against simulation."""

from math import log

import numpy as np
import pytest

from service.evaluation.control_charts import cusum
from service.evaluation.control_charts.cusum import (
    CusumDesign,
    average_run_length,
    design_chart,
    run_chart,
    wanted_run_length,
)
from service.evaluation.values import EvaluationInputError

# p0, p1, the guide's limit for ARL0 of about 5,000 studies, its mean delay in studies (simulated).
TABLE = (
    (0.01, 0.03, 3.6, 230),
    (0.02, 0.05, 3.9, 202),
    (0.05, 0.10, 4.3, 178),
    (0.10, 0.15, 3.9, 258),
    (0.10, 0.20, 5.0, 99),
    (0.20, 0.30, 4.7, 137),
    (0.40, 0.50, 4.6, 187),
    (0.20, 0.10, 5.2, 122),
)


@pytest.mark.parametrize(("p0", "p1", "limit", "delay"), TABLE)
def test_the_guides_limits_and_delays(p0, p1, limit, delay):
    """At its limits ARL0 is 5,000 within its rounding and the delay is its own within 3 %."""
    given = CusumDesign(p0=p0, p1=p1, limit=limit)
    assert 4700 < average_run_length(given, p0) < 5700
    assert average_run_length(given, p1) == pytest.approx(delay, rel=0.03)
    assert design_chart(p0, p1, 5000).limit == pytest.approx(limit, abs=0.11)


@pytest.mark.parametrize(("p0", "p1", "limit", "delay"), TABLE)
def test_the_limit_gives_the_required_run_length(p0, p1, limit, delay):
    """It is the smallest that does: one lattice unit lower and ARL0 falls below 5,000."""
    del limit, delay
    design = design_chart(p0, p1, 5000)
    assert 5000 <= average_run_length(design, p0) < 5100
    unit = cusum._lattice(p0, p1).unit
    lower = CusumDesign(p0=p0, p1=p1, limit=design.limit - unit)
    assert average_run_length(lower, p0) < 5000


def simulated_run_length(design, rate, chains, steps, seed):
    """Studies per signal of many charts side by side, each starting again after its signals."""
    generator = np.random.default_rng(seed)
    total, signals = np.zeros(chains), 0
    for _ in range(steps):
        step = np.where(generator.random(chains) < rate, design.event_step, design.other_step)
        total = np.maximum(0, total + step)
        signalled = total >= design.limit
        signals += int(signalled.sum())
        total[signalled] = 0
    return chains * steps / signals


@pytest.mark.parametrize(("p0", "p1"), [(row[0], row[1]) for row in TABLE])
def test_simulated_charts_signal_as_often_as_stated(p0, p1):
    """20 million studies at p0, about 4,000 false alarms: ARL0 within 6 % of the computed one."""
    design = design_chart(p0, p1, 5000)
    found = simulated_run_length(design, p0, chains=2000, steps=10_000, seed=1)
    # Chains that were cut off before their signal make the rate a little too long.
    assert found == pytest.approx(average_run_length(design, p0), rel=0.06)


def test_one_million_studies_of_the_chart_itself():
    """`run_chart` at p0 with ARL0 of 1,000: within 10 % of the stored run length."""
    design = design_chart(0.1, 0.2, 1000)
    events = np.random.default_rng(2).random(1_000_000) < 0.1
    alarms = run_chart(design, events.tolist()).alarms
    assert 1_000_000 / len(alarms) == pytest.approx(average_run_length(design, 0.1), rel=0.1)


def test_other_run_lengths_move_the_limit_by_their_logarithm():
    """H = h(5000) + ln(ARL0/5000), within .15 from 2,000 to 10,000."""
    for p0, p1, *_ in TABLE:
        base = design_chart(p0, p1, 5000).limit
        for wanted in (2000, 10_000):
            moved = base + log(wanted / 5000)
            assert design_chart(p0, p1, wanted).limit == pytest.approx(moved, abs=0.15)


def test_a_chart_by_hand():
    """From .1 to .2, limit 1.3: the third of three events with one study between them signals."""
    design = CusumDesign(p0=0.1, p1=0.2, limit=1.3)
    up, down = log(2), log(0.8 / 0.9)
    path = run_chart(design, [False, True, False, True, True, False])
    assert path.values[:4] == pytest.approx([0, up, up + down, 2 * up + down])
    assert [alarm.index for alarm in path.alarms] == [4]
    alarm = path.alarms[0]
    assert (alarm.start, alarm.observed.n, alarm.observed.value) == (1, 4, 0.75)
    assert path.values[5] == 0.0


def test_a_lasting_change_signals_again_and_again_from_zero():
    """Each signal starts a new count; the chart does not stay above its limit."""
    design = design_chart(0.1, 0.2, 5000)
    path = run_chart(design, [True] * 40)
    per_alarm = int(np.ceil(design.limit / design.event_step))
    assert [alarm.index for alarm in path.alarms] == list(range(per_alarm - 1, 40, per_alarm))
    assert path.alarms[1].start == per_alarm


def test_a_chart_for_a_fall_sees_a_fall_only():
    """From .2 to 0 it signals; at .5 it never does."""
    design = design_chart(0.2, 0.1, 5000)
    assert run_chart(design, [False] * 200).alarms
    events = np.random.default_rng(3).random(5000) < 0.5
    assert not run_chart(design, events.tolist()).alarms


def test_the_run_length_for_a_number_of_false_alarms():
    """18 charts, 1,000 studies a quarter, one false alarm: 18,000 studies each."""
    assert wanted_run_length(charts=18, studies=1000) == 18_000
    assert wanted_run_length(charts=18, studies=1000, false_alarms=2) == 9000


def test_no_studies_make_no_alarm():
    """And no value."""
    path = run_chart(design_chart(0.1, 0.2, 5000), [])
    assert (path.values.size, path.alarms) == (0, ())


@pytest.mark.parametrize(
    "call",
    [
        lambda: CusumDesign(p0=0.1, p1=0.1, limit=3),
        lambda: CusumDesign(p0=0, p1=0.1, limit=3),
        lambda: CusumDesign(p0=0.1, p1=0.2, limit=0),
        lambda: design_chart(0.1, 1.0, 5000),
        lambda: design_chart(0.1, 0.2, 0),
        lambda: average_run_length(design_chart(0.1, 0.2, 100), 0),
        lambda: wanted_run_length(charts=0, studies=10),
    ],
)
def test_impossible_charts_are_refused(call):
    """A reference rate of 0 has no chart: one event would be an alarm."""
    with pytest.raises(EvaluationInputError):
        call()
