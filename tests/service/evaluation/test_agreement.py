"""Agreement of readers against known figures, scikit-learn and statsmodels."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as expected_fleiss

from service.evaluation.agreement import (
    MISSING,
    Weights,
    cohen_kappa,
    fleiss_kappa,
    gwet,
    observed_agreement,
    ratings_of_table,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined

TEN_CASES = np.array(
    [[int(digit) - 1 for digit in row] for row in
     ["112", "111", "221", "122", "333", "433", "111", "222", "444", "112"]]
)  # fmt: skip


def test_the_paradox_of_kappa():
    """118 of 125 agree on one category: kappa -.023, AC1 .941."""
    ratings = ratings_of_table([[118, 5], [2, 0]])
    assert f"{observed_agreement(ratings, 2):.3f}" == "0.944"
    assert f"{cohen_kappa(ratings[:, 0], ratings[:, 1], 2):.3f}" == "-0.023"
    assert f"{gwet(ratings, 2):.3f}" == "0.941"


def test_known_figures_of_three_readers():
    """Example B of the guide."""
    assert f"{gwet(TEN_CASES, 4):.4f}" == "0.5644"
    assert f"{gwet(TEN_CASES, 4, weights=Weights.LINEAR):.4f}" == "0.7542"
    assert f"{gwet(TEN_CASES, 4, weights=Weights.QUADRATIC):.4f}" == "0.8849"
    assert f"{fleiss_kappa(TEN_CASES, 4):.4f}" == "0.5268"


def test_random_ratings_agree_with_scikit_learn_and_statsmodels():
    """200 tables, with unused categories."""
    generator = np.random.default_rng(11)
    for _ in range(200):
        n, q = int(generator.integers(2, 40)), int(generator.integers(2, 6))
        truth = generator.integers(0, q, n)
        noise = generator.random((n, 3)) < 0.3
        ratings = np.where(noise, generator.integers(0, q, (n, 3)), truth[:, None])
        ratings[0], ratings[1] = 0, 1  # chance agreement below 1
        for weights, name in (
            (Weights.NOMINAL, None), (Weights.LINEAR, "linear"), (Weights.QUADRATIC, "quadratic"),
        ):  # fmt: skip
            expected = cohen_kappa_score(
                ratings[:, 0], ratings[:, 1], labels=range(q), weights=name
            )
            assert cohen_kappa(ratings[:, 0], ratings[:, 1], q, weights=weights) == pytest.approx(
                expected
            )
        counts, _ = aggregate_raters(ratings, n_cat=q)
        assert fleiss_kappa(ratings, q) == pytest.approx(expected_fleiss(counts))


def test_gwet_by_its_definition_with_missing_ratings():
    """Pair by pair, over cases rated at least twice; prevalence over cases rated at all."""
    generator = np.random.default_rng(13)
    for weights in Weights:
        for _ in range(30):
            ratings = generator.integers(-1, 4, (12, 3))
            ratings[0] = [0, 1, 2]
            assert gwet(ratings, 4, weights=weights) == pytest.approx(
                by_definition(ratings, 4, weights)
            )


def by_definition(ratings, q, weights):
    """AC1 or AC2 by loops over cases and pairs of readers."""

    def weight(i, j):
        if weights is Weights.NOMINAL:
            return float(i == j)
        distance = abs(i - j) / (q - 1)
        return 1 - (distance if weights is Weights.LINEAR else distance**2)

    agreement, shares = [], []
    for row in ratings:
        given = [int(value) for value in row if value != MISSING]
        if given:
            shares.append([given.count(k) / len(given) for k in range(q)])
        if len(given) >= 2:
            both = [
                weight(a, b) for x, a in enumerate(given) for y, b in enumerate(given) if x != y
            ]
            agreement.append(np.mean(both))
    pi = np.mean(shares, axis=0)
    total = sum(weight(i, j) for i in range(q) for j in range(q))
    chance = total * sum(p * (1 - p) for p in pi) / (q * (q - 1))
    return (np.mean(agreement) - chance) / (1 - chance)


def test_readers_who_always_choose_one_category():
    """AC1 is 1; kappa is undefined, as chance explains the agreement."""
    ratings = np.zeros((20, 2), dtype=int)
    assert gwet(ratings, 3) == 1.0
    assert cohen_kappa(ratings[:, 0], ratings[:, 1], 3) == Undefined(Reason.ONE_CATEGORY)
    assert fleiss_kappa(ratings, 3) == Undefined(Reason.ONE_CATEGORY)


def test_without_a_case_rated_twice_there_is_no_agreement():
    """No case, one reader, or each case rated once."""
    for ratings in (np.zeros((0, 2), int), np.array([[1], [0]]), np.array([[1, -1], [-1, 0]])):
        assert gwet(ratings, 2) == Undefined(Reason.ONE_RATER)
        assert observed_agreement(ratings, 2) == Undefined(Reason.ONE_RATER)
    assert fleiss_kappa(np.zeros((0, 3), int), 2) == Undefined(Reason.ONE_RATER)
    assert cohen_kappa([1, -1], [-1, 0], 2) == Undefined(Reason.NO_CASES)


@pytest.mark.parametrize(
    ("ratings", "categories"),
    [([[0, 4]], 4), ([[0, -2]], 4), ([[0.5, 1]], 4), ([0, 1], 4), ([[0, 0]], 1)],
)
def test_unusable_ratings_are_refused(ratings, categories):
    """Out of range, halves, one dimension, one category."""
    with pytest.raises(EvaluationInputError):
        gwet(ratings, categories)
