"""McNemar and adjusted p-values against known figures and statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as expected_mcnemar
from statsmodels.stats.multitest import multipletests

from service.evaluation.paired import benjamini_hochberg, holm, mcnemar, mcnemar_of
from service.evaluation.values import EvaluationInputError, Reason, Undefined


def test_known_figures():
    """10 against 3: .0923 exact, .0574 mid-p, whichever model is named first."""
    for counts in ((10, 3), (3, 10)):
        result = mcnemar(*counts)
        assert (f"{result.exact_p:.4f}", f"{result.mid_p:.4f}") == ("0.0923", "0.0574")


def test_random_tables_agree_with_statsmodels():
    """200 tables, none and equal discordant pairs among them."""
    generator = np.random.default_rng(6)
    for number in range(200):
        b, c = (int(count) for count in generator.integers(0, 40, 2))
        if number % 20 == 0:
            b = c
        expected = expected_mcnemar([[5, b], [c, 7]], exact=True).pvalue
        result = mcnemar(b, c)
        assert result.exact_p == pytest.approx(expected)
        assert 0 < result.mid_p <= result.exact_p


@pytest.mark.parametrize("count", [0, 1, 9])
def test_as_many_on_either_side_state_nothing(count):
    """P = 1, also without any discordant pair."""
    result = mcnemar(count, count)
    assert (result.exact_p, result.mid_p) == (1.0, pytest.approx(1.0))


def test_pairs_are_counted_from_two_models():
    """Only cases that one of them had right count."""
    first = np.array([1, 1, 1, 0, 0], dtype=bool)
    second = np.array([1, 0, 0, 1, 0], dtype=bool)
    result = mcnemar_of(first, second)
    assert (result.only_first, result.only_second) == (2, 1)
    with pytest.raises(EvaluationInputError, match="shape"):
        mcnemar_of(first, second[:3])


@pytest.mark.parametrize(
    ("adjust", "method", "sets"),
    [(holm, "holm", 40), (benjamini_hochberg, "fdr_bh", 200)],  # statsmodels' Holm takes 50 ms
)
def test_random_p_values_agree_with_statsmodels(adjust, method, sets):
    """Sets of 1 to 20 p-values with ties."""
    generator = np.random.default_rng(7)
    for _ in range(sets):
        values = np.round(generator.random(int(generator.integers(1, 21))) ** 3, 2).tolist()
        assert adjust(values) == pytest.approx(multipletests(values, method=method)[1])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_an_undefined_p_value_is_no_test(adjust):
    """It stays in its place and makes the others no larger."""
    undefined = Undefined(Reason.NO_VARIANCE)
    assert adjust([0.04, undefined, 0.01]) == [
        pytest.approx(0.04), undefined, pytest.approx(0.02),
    ]  # fmt: skip
    assert adjust([]) == []
    assert adjust([undefined]) == [undefined]


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(p):
    """NaN as well."""
    with pytest.raises(EvaluationInputError, match="p-values"):
        holm([0.5, p])
