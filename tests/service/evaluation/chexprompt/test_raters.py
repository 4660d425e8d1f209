"""Agreement with raters against a direct computation."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from service.evaluation.chexprompt.raters import rater_agreement
from service.evaluation.values import EvaluationInputError, Undefined


def test_two_pairs_by_hand():
    """Raters 0, 1, 2 and 3, 3, 0: the others' means are 1.5, 1, 0.5 and 1.5, 1.5, 3."""
    found = rater_agreement([[0, 1, 2], [3, 3, 0]], judge=[1, 2])
    assert found.rater_error == pytest.approx((1.5 + 0 + 1.5 + 1.5 + 1.5 + 3) / 6)
    assert found.judge_error == pytest.approx((0.5 + 0 + 0.5 + 0.5 + 0.5 + 1) / 6)
    assert found.constant == pytest.approx(1.5)
    assert found.constant_error == pytest.approx((0 + 0.5 + 1 + 0 + 0 + 1.5) / 6)
    assert found.mean == pytest.approx(1.5)
    assert found.zero_share == pytest.approx(2 / 6)


def test_random_ratings_agree_with_a_loop():
    """200 pairs and six raters, as in ReXVal."""
    generator = np.random.default_rng(5)
    truth = generator.poisson(1.6, 200)
    ratings = np.clip(truth[:, None] + generator.integers(-1, 2, (200, 6)), 0, None)
    judge = np.clip(truth + generator.integers(-1, 2, 200), 0, None).astype(float)
    errors, judged, taus = [], [], []
    for left in range(6):
        others = np.delete(ratings, left, axis=1).mean(axis=1)
        errors.append(np.abs(ratings[:, left] - others).mean())
        judged.append(np.abs(judge - others).mean())
        taus.append(kendalltau(ratings[:, left], others).statistic)
    found = rater_agreement(ratings, judge)
    assert found.rater_error == pytest.approx(np.mean(errors))
    assert found.judge_error == pytest.approx(np.mean(judged))
    assert found.rater_tau == pytest.approx(np.mean(taus))
    assert found.judge_tau == pytest.approx(kendalltau(judge, ratings.mean(axis=1)).statistic)
    assert found.constant_error > found.rater_error


def test_a_pair_without_a_count_of_the_judge_is_left_out_of_its_error_only():
    """The rater's error on the judged pairs stands beside, so that both are of the same pairs."""
    found = rater_agreement([[1, 1], [5, 9]], judge=[1, float("nan")])
    assert (found.judged, found.judge_error) == (1, 0)
    assert found.rater_error_on_judged == 0
    assert found.rater_error == pytest.approx(2)
    assert isinstance(found.judge_tau, Undefined)


@pytest.mark.parametrize(
    "ratings", [[[1, 2]], [[1], [2]], [[1, 2], [1, -1]], [[1, np.nan], [1, 1]]]
)
def test_unusable_ratings_are_refused(ratings):
    """One pair, one rater, a number below 0, a missing rating."""
    with pytest.raises(EvaluationInputError):
        rater_agreement(ratings)
