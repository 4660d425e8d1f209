"""Prompts, temperatures and repeats: F1 with its spread, and how often labels flip."""

import pytest

from service.assessment.experiment import Cell, CellReading, experiment
from service.assessment.experiment_page import cells_csv, experiment_page
from service.assessment.flow import flow
from service.evaluation.labels import SIX, Label
from service.evaluation.metrics_json import metrics_json
from service.evaluation.report import render
from service.evaluation.values import Undefined

COLD, WARM = Cell("specific", 0.0, 0.8), Cell("specific", 1.0, 0.8)
BASIC = Cell("basic", 0.0, 0.8)


def readings(rows, repeats, wrong=()):
    """Return correct readings, except that edema is negated in the repeats `wrong`."""
    return {
        row.id: CellReading(
            labels=tuple(
                {**row.truth, "edema": Label(1 - int(row.truth["edema"]))}
                if repeat in wrong
                else dict(row.truth)
                for repeat in range(repeats)
            )
        )
        for row in rows
    }


@pytest.fixture(scope="module")
def found(rows_of):
    """Three cells of 20 studies."""
    rows = rows_of(1, n=20)
    cells = {
        COLD: readings(rows, 4),
        WARM: readings(rows, 4, wrong={1, 3}),
        BASIC: readings(rows, 4, wrong={0, 1, 2, 3}),
    }
    return experiment(rows, cells, complete=True, draws=50, seed=0)


def test_equal_repeats_do_not_flip_and_have_no_spread(found):
    """As greedy decoding must: flip rate 0, AC1 1."""
    cold = found.cells[COLD.name]
    assert cold.flip_rate == 0
    assert cold.agreement == pytest.approx(1)
    assert cold.mean_f1.mean == 1
    assert cold.mean_f1.deviation == 0


def test_a_label_that_differs_in_one_repeat_flips(found):
    """One of six findings flips in every study; the F1 has its mean, spread and range."""
    warm = found.cells[WARM.name]
    assert warm.flip_rate == pytest.approx(1 / 6)
    assert warm.flips["edema"] == 1
    assert warm.flips["pneumothorax"] == 0
    assert warm.agreement < 1
    assert warm.mean_f1.highest == 1
    assert warm.mean_f1.lowest == pytest.approx(5 / 6)
    assert warm.mean_f1.deviation > 0


def test_prompts_are_compared_in_pairs_at_the_first_temperature(found):
    """Only the prompt differs: the warm cell is no comparison."""
    assert set(found.comparisons) == {"basic"}
    assert found.comparisons["basic"].worse == ("edema",)
    assert found.comparisons["basic"].common == 20


def test_one_repeat_has_no_flip_that_could_be_seen(rows_of):
    """No deviation and no agreement."""
    rows = rows_of(1, n=20)
    cell = experiment(rows, {COLD: readings(rows, 1)}, complete=True, draws=20, seed=0).cells[
        COLD.name
    ]
    assert isinstance(cell.agreement, Undefined)
    assert isinstance(cell.mean_f1.deviation, Undefined)


def test_page_table_and_metrics_hold_every_cell(found, rows_of):
    """One file without script, a chart of each figure, a line a cell in the table."""
    report = experiment_page(found, [COLD, WARM, BASIC], flow=flow(rows_of(1, n=20)), facts=())
    html = render(report)
    assert html.count("<svg") == 2
    assert "<script" not in html
    assert all(name in html for name in found.cells)
    assert len(cells_csv(found).splitlines()) == 4
    assert metrics_json(found)
    assert found.together_of == SIX


def test_an_interrupted_experiment_reports_it(rows_of):
    """A cell without any reading breaks nothing."""
    rows = rows_of(1, n=20)
    part = experiment(rows, {COLD: {}, BASIC: {}}, complete=False, draws=20, seed=0)
    html = render(experiment_page(part, [COLD, BASIC], flow=flow(rows), facts=()))
    assert "Not every study was read in every setting yet." in html
