"""Patient-cluster bootstrap, paired differences and the swap test."""

import numpy as np
import pytest
from scipy.stats import bootstrap as expected_bootstrap

from service.evaluation.classification import macro_f1, micro_f1, row_counts
from service.evaluation.labels import POSITIVE_ONLY, LabelTable, pairs
from service.evaluation.resampling import (
    Clusters,
    bootstrap,
    bootstrap_difference,
    difference,
    swap_test,
)
from service.evaluation.roc import auroc
from service.evaluation.values import EvaluationInputError, Reason, Undefined


def mean(rows):
    """The mean of rows of numbers."""
    return float(rows.mean())


def names(n):
    """Identifiers that sort in the order of their numbers."""
    return [f"p{number:05d}" for number in range(n)]


def test_a_draw_is_numpys_integers_over_sorted_patients():
    """The draws are the stated ones, so that another program can repeat the interval."""
    patients = ["b", "a", "c", "a"]
    generator = np.random.default_rng(7)
    rows_of = {0: [1, 3], 1: [0], 2: [2]}
    expected = [
        [row for patient in generator.integers(0, 3, 3) for row in rows_of[int(patient)]]
        for _ in range(5)
    ]
    assert [draw.tolist() for draw in Clusters(patients).draws(5, 7)] == expected


def test_the_interval_is_the_percentile_of_these_draws():
    """Computed again with a loop, for one study a patient."""
    values = np.random.default_rng(1).normal(size=40)
    generator = np.random.default_rng(0)
    means = [values[generator.integers(0, 40, 40)].mean() for _ in range(500)]
    found = bootstrap(mean, values, Clusters(names(40)), draws=500)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        tuple(np.percentile(means, [2.5, 97.5]))
    )
    assert (found.value, found.draws, found.undefined, found.patients) == (
        values.mean(), 500, 0, 40,
    )  # fmt: skip


def test_the_interval_is_close_to_scipys():
    """Another generator of draws, the same method."""
    values = np.random.default_rng(2).exponential(size=200)
    found = bootstrap(mean, values, Clusters(names(200))).interval
    expected = expected_bootstrap(
        (values,), np.mean, method="percentile", n_resamples=2000, rng=5
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03)


def test_equal_seeds_give_equal_intervals_in_any_order_of_studies():
    """The order of the patients is that of their identifiers, not that of the file."""
    values, patients = np.arange(30.0), names(30)
    order = np.random.default_rng(0).permutation(30)
    one = bootstrap(mean, values, Clusters(patients), draws=200)
    other = bootstrap(mean, values[order], Clusters([patients[n] for n in order]), draws=200)
    assert one.interval.low == pytest.approx(other.interval.low, abs=1e-12)
    assert bootstrap(mean, values, Clusters(patients), draws=200, seed=1).interval != one.interval


def test_studies_of_one_patient_widen_the_interval():
    """Ten copies of each patient's value carry no more information than one copy."""
    values = np.random.default_rng(3).normal(size=30)
    single = bootstrap(mean, values, Clusters(names(30))).interval
    copies = np.repeat(values, 10)
    clustered = bootstrap(mean, copies, Clusters(np.repeat(names(30), 10).tolist())).interval
    as_if_independent = bootstrap(mean, copies, Clusters(names(300))).interval
    assert (clustered.low, clustered.high) == pytest.approx((single.low, single.high))
    assert clustered.high - clustered.low > 2 * (as_if_independent.high - as_if_independent.low)


def test_undefined_draws_are_counted_and_left_out():
    """One positive among ten: a third of the draws lack it."""
    rows = np.column_stack([[1] + [0] * 9, np.linspace(1, 0, 10)])
    found = bootstrap(lambda r: auroc(r[:, 0], r[:, 1]).value, rows, Clusters(names(10)))
    assert found.value == 1.0
    assert 0.3 < found.undefined / found.draws < 0.4
    assert found.interval.high == 1.0


def test_without_a_defined_draw_patient_or_row_there_is_no_interval():
    """Each with its reason; the value stays where there is one."""
    no_value = bootstrap(
        lambda _: Undefined(Reason.EMPTY_CLASS), np.zeros(5), Clusters(names(5)), draws=10
    )
    assert no_value.interval == Undefined(Reason.NO_DEFINED_DRAW)
    assert (no_value.value, no_value.undefined) == (Undefined(Reason.EMPTY_CLASS), 10)
    alone = bootstrap(mean, np.array([1.0, 3.0]), Clusters(["a", "a"]))
    assert (alone.value, alone.interval) == (2.0, Undefined(Reason.ONE_PATIENT))
    nothing = bootstrap(mean, np.zeros(0), Clusters([]))
    assert nothing.value == nothing.interval == Undefined(Reason.NO_CASES)


def test_the_interval_covers_as_often_as_it_states():
    """300 samples of 60 patients with 1 to 3 studies: 95 % within sampling error."""
    generator, covered = np.random.default_rng(6), 0
    for _ in range(300):
        sizes = generator.integers(1, 4, 60)
        effect = np.repeat(generator.normal(size=60), sizes)
        values = effect + generator.normal(size=effect.size)
        patients = np.repeat(names(60), sizes).tolist()
        interval = bootstrap(mean, values, Clusters(patients), draws=300).interval
        covered += interval.low <= 0 <= interval.high
    assert 270 <= covered <= 295


def counts_of(truth, predicted):
    """Counts by row of two arrays of 0 and 1."""
    ids, findings = tuple(names(len(truth))), tuple(f"f{n}" for n in range(truth.shape[1]))
    return row_counts(
        pairs(
            LabelTable(ids, findings, truth.astype(np.int8)),
            LabelTable(ids, findings, predicted.astype(np.int8)),
            POSITIVE_ONLY,
        )
    )


def two_models(better):
    """Row counts of two models on 120 studies; the first is right more often by `better`."""
    generator = np.random.default_rng(8)
    truth = generator.random((120, 4)) < 0.4
    first = truth ^ (generator.random(truth.shape) < 0.2)
    second = truth ^ (generator.random(truth.shape) < 0.2 + better)
    return counts_of(truth, first), counts_of(truth, second)


def micro(rows):
    """Micro F1 of row counts."""
    return micro_f1(rows.sum(axis=0))


def test_equal_models_differ_by_zero_with_p_one():
    """Exactly, in each draw."""
    first, _ = two_models(0.2)
    clusters = Clusters(names(120))
    found = bootstrap_difference(micro, first, first, clusters, draws=100)
    assert (found.value, found.interval.low, found.interval.high) == (0.0, 0.0, 0.0)
    test = swap_test(micro, first, first, clusters, swaps=200)
    assert (test.difference, test.p) == (0.0, 1.0)


def test_a_worse_model_is_found():
    """The interval leaves 0 out and p is small; exchanging the models changes the sign only."""
    first, second = two_models(0.2)
    clusters = Clusters(names(120))
    found = bootstrap_difference(micro, first, second, clusters, draws=500)
    turned = bootstrap_difference(micro, second, first, clusters, draws=500)
    assert found.interval.low > 0
    assert turned.interval.high == pytest.approx(-found.interval.low)
    test = swap_test(micro, first, second, clusters, swaps=999)
    assert test.p == 1 / 1000
    assert test.difference == pytest.approx(found.value)


def test_the_difference_is_of_the_same_draws():
    """Two models with equal errors vary together: the interval of the difference is narrow."""
    first, second = two_models(0.0)
    clusters = Clusters(names(120))
    paired = bootstrap_difference(micro, first, second, clusters, draws=300).interval
    alone = bootstrap(micro, first, clusters, draws=300)
    assert difference(alone.value, alone.value) == 0.0
    assert paired.low < 0 < paired.high


def test_the_swap_test_holds_its_level():
    """300 pairs of equally good models: p <= 5 % in about 5 %."""
    generator, below = np.random.default_rng(9), 0
    for _ in range(300):
        noise = generator.normal(size=(30, 2))
        test = swap_test(mean, noise[:, 0], noise[:, 1], Clusters(names(30)), swaps=199)
        below += test.p <= 0.05
    assert 5 <= below <= 28


def test_swaps_move_a_patients_studies_together():
    """With one patient either all studies change sides or none: nothing can be shown."""
    first, second = np.ones(50), np.zeros(50)
    assert swap_test(mean, first, second, Clusters(["a"] * 50), swaps=99).p == 1.0
    assert swap_test(mean, first, second, Clusters(names(50)), swaps=99).p == 0.01


def test_undefined_swaps_and_statistics():
    """Undefined swaps are counted; an undefined statistic is no test."""
    first = np.column_stack([[1, 0, 0, 0], np.linspace(1, 0, 4)])

    def statistic(rows):
        value = float(rows[:, 1].sum())
        return Undefined(Reason.NOT_ESTIMATED) if 1.01 < value < 1.99 else value

    # Of three patients with a difference, all or none must change sides: 1/4 of the swaps.
    test = swap_test(statistic, first, first * 0.5, Clusters(names(4)), swaps=400)
    assert 270 < test.undefined < 330
    assert test.p == 1.0
    undefined = swap_test(
        lambda _: Undefined(Reason.NO_CASES), first, first, Clusters(names(4)), swaps=5
    )
    assert undefined.p == undefined.difference == Undefined(Reason.NO_CASES)
    nothing = swap_test(mean, np.zeros(0), np.zeros(0), Clusters([]))
    assert nothing.p == Undefined(Reason.NO_CASES)


def test_macro_f1_with_rare_classes_counts_its_undefined_draws():
    """A class empty in a draw leaves that draw's macro; only a draw empty in all has none."""
    truth = np.zeros((40, 3), dtype=bool)
    truth[0, 0] = True
    rows = counts_of(truth, truth)
    found = bootstrap(lambda r: macro_f1(r.sum(axis=0)), rows, Clusters(names(40)), draws=500)
    assert found.value == 1.0
    assert 0.25 < found.undefined / 500 < 0.5
    assert (found.interval.low, found.interval.high) == (1.0, 1.0)


def test_arrays_that_do_not_fit_are_refused():
    """Rows against patients, one model against another, no draws."""
    clusters = Clusters(names(3))
    with pytest.raises(EvaluationInputError, match="rows"):
        bootstrap(mean, np.zeros(4), clusters)
    with pytest.raises(EvaluationInputError, match="same rows"):
        bootstrap_difference(mean, np.zeros(3), np.zeros(4), clusters)
    with pytest.raises(EvaluationInputError, match="draws"):
        bootstrap(mean, np.zeros(3), clusters, draws=0)
