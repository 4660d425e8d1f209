"""Two evaluations compared: paired on the same studies, side by side on others."""

import dataclasses

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from service.assessment.comparison import PairedComparison, SiteComparison, comparison
from service.evaluation.labels import SIX, Label
from service.evaluation.metrics_json import metrics_json


def flipped(rows, finding, every=1):
    """Return the rows with the drafts' statements about one finding negated."""
    return [
        row
        if number % every
        else dataclasses.replace(
            row, predicted={**row.predicted, finding: Label(1 - int(row.predicted[finding]))}
        )
        for number, row in enumerate(rows)
    ]


def compared(first, second, **settings):
    """Return the comparison with few draws."""
    return comparison(first, second, "other", **{"draws": 200, "swaps": 300, "seed": 0} | settings)


def test_a_model_is_no_better_than_itself(rows_of):
    """No difference, p = 1, no finding named."""
    found = compared(rows_of(1), rows_of(1))
    assert isinstance(found, PairedComparison)
    assert (found.common, found.better, found.worse) == (60, (), ())
    assert all(each.difference.value == 0 for each in found.together.values())
    assert all(each.f1_p_holm == 1 for each in found.findings.values())


def test_a_finding_whose_sentences_are_turned_around_is_found(rows_of):
    """Worse in this finding here and better there, in no other finding."""
    rows = rows_of(1, wrong=0.1)
    worse = compared(flipped(rows, "edema", every=2), rows)
    assert worse.worse == ("edema",)
    assert worse.better == ()
    assert compared(rows, flipped(rows, "edema", every=2)).better == ("edema",)


def test_a_model_that_is_worse_in_everything_is_found(rows_of):
    """35 % wrong statements against 5 %, on the same truth."""
    found = compared(rows_of(3, n=200, wrong=0.35), rows_of(3, n=200, wrong=0.05))
    assert set(found.worse) == set(SIX)
    assert found.together["micro F1"].difference.interval.high < 0
    assert found.together["micro F1"].test.p < 0.01


def test_the_tests_are_those_of_statsmodels(rows_of):
    """McNemar's exact test, and Holm's adjustment."""
    first, second = rows_of(5, wrong=0.3), rows_of(5, wrong=0.1)
    found = compared(first, second)
    expected = []
    for name in SIX:
        one, other = (
            np.array([row.truth[name] == row.predicted[name] for row in rows])
            for rows in (first, second)
        )
        table = [
            [(one & other).sum(), (one & ~other).sum()],
            [(~one & other).sum(), (~one & ~other).sum()],
        ]
        expected.append(mcnemar(table, exact=True).pvalue)
        assert found.findings[name].right.exact_p == pytest.approx(expected[-1])
    adjusted = multipletests(expected, method="holm")[1]
    shown = [found.findings[name].right_p_holm for name in SIX]
    assert shown == pytest.approx(list(adjusted))


def test_only_studies_of_both_are_compared_and_the_first_truth_counts(rows_of):
    """The second evaluation may have another truth of the same study."""
    rows = rows_of(1)
    other_truth = [
        dataclasses.replace(row, truth=dict.fromkeys(SIX, Label.POSITIVE)) for row in rows[10:]
    ]
    found = compared(rows[:40], other_truth)
    assert (found.common, found.only_first, found.only_second) == (30, 10, 20)
    assert found.together["micro F1"].difference.value == 0


def test_two_sites_are_one_table(rows_of):
    """Other studies: nothing is paired, the intervals are side by side."""
    here = rows_of(1)
    there = [dataclasses.replace(row, id=f"x{row.id}") for row in rows_of(2, wrong=0.4)]
    found = compared(here, there)
    assert isinstance(found, SiteComparison)
    assert set(found.findings) == set(SIX)
    expected = found.together.first.value - found.together.second.value
    assert found.together.difference.value == pytest.approx(expected)
    assert found.together.difference.interval.low > 0
    assert metrics_json(found)
