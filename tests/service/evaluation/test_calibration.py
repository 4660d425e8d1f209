"""Calibration against known figures, scikit-learn and statsmodels."""

import warnings

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from statsmodels.api import Logit, add_constant

from service.evaluation.calibration import (
    brier,
    calibration_line,
    expected_calibration_error,
    reliability_bins,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined

TRUTH = [1] * 5 + [0] * 7
SCORES = [0.9, 0.8, 0.7, 0.55, 0.3, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2, 0.1]


def test_known_figures():
    """Example A of the guide."""
    assert f"{brier(TRUTH, SCORES):.5f}" == "0.15542"
    assert f"{expected_calibration_error(TRUTH, SCORES):.4f}" == "0.1667"
    assert f"{expected_calibration_error(TRUTH, SCORES, bins=5):.4f}" == "0.1083"
    line = calibration_line(TRUTH, SCORES)
    assert (f"{line.slope:.3f}", f"{line.intercept:.3f}", line.clipped) == ("1.761", "-0.301", 0)


def test_random_cases_agree_with_scikit_learn_and_statsmodels():
    """200 cases, many with ties and scores on bin edges."""
    generator = np.random.default_rng(12)
    regressions = 0
    for _ in range(200):
        n = int(generator.integers(2, 120))
        scores = np.clip(np.round(generator.random(n), int(generator.choice([1, 2, 6]))), 0, 1)
        truth = (generator.random(n) < scores ** generator.choice([0.5, 1, 2])).astype(int)
        truth[0] = 1 - truth[1]
        assert brier(truth, scores) == pytest.approx(brier_score_loss(truth, scores))
        bins = [b for b in reliability_bins(truth, scores) if b.observed.n]
        assert sum(b.observed.n for b in bins) == n
        if not np.isin(
            scores, np.linspace(0, 1, 11)
        ).any():  # scikit-learn closes bins on the right
            shares, means = calibration_curve(truth, scores, n_bins=10)
            assert [b.observed.value for b in bins] == pytest.approx(shares)
            assert [b.mean_score for b in bins] == pytest.approx(means)
        gaps = [b.observed.n / n * abs(b.observed.value - b.mean_score) for b in bins]
        assert expected_calibration_error(truth, scores) == pytest.approx(sum(gaps))
        regressions += same_regression(truth, scores)
    assert regressions > 100


def same_regression(truth, scores):
    """Compare with statsmodels where the line is defined; return whether it is."""
    line = calibration_line(truth, scores)
    if isinstance(line.slope, Undefined):
        return False
    inside = np.clip(scores, 1e-6, 1 - 1e-6)
    design = add_constant(np.log(inside / (1 - inside)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = Logit(truth, design).fit(disp=0, maxiter=200, method="newton")
    assert (line.intercept, line.slope) == pytest.approx(tuple(fit.params), rel=1e-5, abs=1e-5)
    return True


def test_a_score_on_an_edge_lies_in_the_bin_to_its_right_and_one_in_the_last():
    """0.1, 0.2 and 0.3 are no sums of halves: they still lie on their edges."""
    scores = [0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.9, 1.0]
    bins = reliability_bins([0] * 8, scores)
    assert [b.observed.n for b in bins] == [1, 1, 1, 1, 0, 0, 1, 1, 0, 2]
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)


def test_an_empty_bin_has_no_mean_and_no_share():
    """It is not at 0 in the diagram."""
    empty = reliability_bins([1], [0.95])[0]
    assert empty.mean_score == empty.observed.value == Undefined(Reason.NO_CASES)


def test_calibrated_scores_have_slope_one_and_intercept_zero():
    """And scores twice as extreme in the logit have slope one half."""
    generator = np.random.default_rng(5)
    logits = generator.normal(-1, 1.5, 40_000)
    truth = generator.random(40_000) < 1 / (1 + np.exp(-logits))
    for factor in (1.0, 2.0):
        line = calibration_line(truth, 1 / (1 + np.exp(-factor * logits)))
        assert line.slope == pytest.approx(1 / factor, abs=0.03)
        assert line.intercept == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize(
    ("truth", "scores", "reason"),
    [
        ([], [], Reason.NO_CASES),
        ([0, 0], [0.1, 0.2], Reason.NO_POSITIVES),
        ([1, 1], [0.1, 0.2], Reason.NO_NEGATIVES),
        ([0, 1], [0.3, 0.3], Reason.NO_VARIANCE),
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], Reason.SEPARATED),
        ([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.4], Reason.SEPARATED),
        ([1, 1, 0, 0], [0.1, 0.2, 0.2, 0.4], Reason.SEPARATED),
    ],
)
def test_without_a_finite_solution_there_is_no_line(truth, scores, reason):
    """Separated classes would give a slope that grows with the number of iterations."""
    line = calibration_line(truth, scores)
    assert line.slope == line.intercept == Undefined(reason)


def test_one_class_still_has_a_brier_score_and_an_error():
    """Neither needs both classes; both need a case."""
    assert brier([0, 0], [0.1, 0.3]) == pytest.approx(0.05)
    assert expected_calibration_error([0, 0], [0.1, 0.3]) == pytest.approx(0.2)
    assert brier([], []) == expected_calibration_error([], []) == Undefined(Reason.NO_CASES)


def test_scores_of_zero_and_one_are_moved_inside_and_counted():
    """They have no logit."""
    line = calibration_line([0, 1, 0, 1, 1], [0.0, 1.0, 0.6, 0.4, 0.7])
    assert line.clipped == 2
    assert np.isfinite(line.slope)


@pytest.mark.parametrize("scores", [[0.2, 1.2], [0.2, -0.1], [0.2, np.nan], [0.2]])
def test_scores_that_are_no_probabilities_are_refused(scores):
    """Also a logit given by mistake."""
    for metric in (brier, expected_calibration_error, reliability_bins, calibration_line):
        with pytest.raises(EvaluationInputError):
            metric([0, 1], scores)


def test_at_least_one_bin_is_needed():
    """0 bins is a mistake."""
    with pytest.raises(EvaluationInputError, match="bins"):
        expected_calibration_error([0], [0.1], bins=0)
