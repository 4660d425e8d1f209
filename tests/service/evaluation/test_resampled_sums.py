"""Sums over resampled patients give the figures and intervals of the plain bootstrap and swap test."""

import numpy as np
import pytest

from service.evaluation.classification import macro_f1, micro_f1
from service.evaluation.resampled_sums import ResampledSums, SwappedSums
from service.evaluation.resampling import Clusters, bootstrap, swap_test
from service.evaluation.values import Reason, Undefined


def counts(seed, n=40, findings=3):
    """Return int64 [n, findings, 4], one of the four counts of each study and finding is 1."""
    generator = np.random.default_rng(seed)
    return np.eye(4, dtype=np.int64)[generator.integers(0, 4, (n, findings))]


PATIENTS = [f"p{number // 2}" for number in range(40)]


@pytest.mark.parametrize("seed", range(5))
def test_the_bootstrap_of_sums_equals_the_bootstrap_of_rows(seed):
    """Same draws, same percentiles, same number of undefined draws."""
    rows, clusters = counts(seed), Clusters(PATIENTS)
    sums = ResampledSums.of(rows, clusters, draws=300, seed=seed)
    for statistic in (micro_f1, macro_f1):
        plain = bootstrap(
            lambda drawn, statistic=statistic: statistic(drawn.sum(axis=0)),
            rows, clusters, draws=300, seed=seed,
        )  # fmt: skip
        assert sums.bootstrap(statistic) == plain


@pytest.mark.parametrize("seed", range(3))
def test_the_swap_test_of_sums_equals_the_swap_test_of_rows(seed):
    """Same swaps, same p-value."""
    first, second, clusters = counts(seed), counts(seed + 100), Clusters(PATIENTS)
    quick = SwappedSums(first, second, clusters, swaps=500, seed=seed).test(micro_f1)
    plain = swap_test(
        lambda rows: micro_f1(rows.sum(axis=0)), first, second, clusters, swaps=500, seed=seed
    )
    assert quick.p == plain.p
    assert quick.difference == pytest.approx(plain.difference)


def test_equal_models_have_no_difference():
    """The p-value of a model against itself is 1."""
    rows = counts(1)
    result = SwappedSums(rows, rows, Clusters(PATIENTS), swaps=100).test(micro_f1)
    assert (result.difference, result.p) == (0.0, 1.0)


def test_no_study_and_one_patient_have_no_interval():
    """Both are undefined, each with its reason."""
    none = ResampledSums.of(counts(0)[:0], Clusters([])).bootstrap(micro_f1)
    assert none.value == Undefined(Reason.NO_CASES)
    one = ResampledSums.of(counts(0)[:2], Clusters(["a", "a"])).bootstrap(micro_f1)
    assert one.interval == Undefined(Reason.ONE_PATIENT)
