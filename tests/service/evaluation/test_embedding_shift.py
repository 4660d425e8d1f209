"""MMD: its definition, its power and its false alarms."""

import numpy as np
import pytest

from service.evaluation import embedding_shift as module
from service.evaluation.embedding_shift import embedding_shift
from service.evaluation.values import EvaluationInputError, Reason, Undefined


def by_definition(first, second):
    """The unbiased MMD^2 by loops over all pairs."""
    both = np.concatenate([first, second])
    distances = [np.linalg.norm(both[i] - both[j]) for i in range(len(both)) for j in range(i)]
    scale = np.median(distances)

    def kernel(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * scale**2))

    def within(sample):
        pairs = [kernel(a, b) for i, a in enumerate(sample) for j, b in enumerate(sample) if i != j]
        return np.mean(pairs)

    between = np.mean([kernel(a, b) for a in first for b in second])
    return within(first) + within(second) - 2 * between


def test_the_statistic_is_that_of_the_definition():
    """Samples of different sizes."""
    generator = np.random.default_rng(1)
    for _ in range(10):
        first, second = generator.normal(size=(12, 3)), generator.normal(0.5, size=(7, 3))
        found = embedding_shift(first, second, permutations=1).difference
        assert found == pytest.approx(by_definition(first, second))


def test_a_shift_of_one_deviation_on_one_of_32_axes_is_found():
    """300 against 100, 30 times: always at 5 %, as in the guide."""
    generator = np.random.default_rng(2)
    moved = np.zeros(32)
    moved[0] = 1.0
    for _ in range(30):
        reference, window = generator.normal(size=(300, 32)), generator.normal(size=(100, 32))
        assert embedding_shift(reference, window + moved).p <= 0.05


def test_without_a_shift_it_alarms_as_often_as_stated():
    """100 pairs of equal samples: about 5 at 5 %."""
    generator, alarms = np.random.default_rng(3), 0
    for number in range(100):
        reference, window = generator.normal(size=(120, 8)), generator.normal(size=(60, 8))
        alarms += embedding_shift(reference, window, seed=number).p <= 0.05
    assert 1 <= alarms <= 11


def test_large_samples_are_drawn_down(monkeypatch):
    """The kernel stays small; the same seed draws the same rows."""
    monkeypatch.setattr(module, "LARGEST", 50)
    vectors = np.random.default_rng(4).normal(size=(400, 4))
    one = embedding_shift(vectors[:200], vectors[200:])
    assert one == embedding_shift(vectors[:200], vectors[200:])
    assert one.swaps == 199


def test_samples_that_cannot_be_compared():
    """One vector, none, or all the same."""
    two = np.eye(2)
    assert embedding_shift(two, two[:1]).p == Undefined(Reason.NO_CASES)
    assert embedding_shift(np.zeros((0, 2)), two).p == Undefined(Reason.NO_CASES)
    assert embedding_shift(np.ones((5, 2)), np.ones((5, 2))).p == Undefined(Reason.NO_VARIANCE)


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        ([[1.0, 2.0]] * 3, [[1.0]] * 3),
        ([1.0, 2.0], [1.0, 2.0]),
        ([[np.nan, 1.0]] * 3, [[1.0, 2.0]] * 3),
    ],
)
def test_unusable_vectors_are_refused(reference, window):
    """Other lengths, one dimension, NaN."""
    with pytest.raises(EvaluationInputError):
        embedding_shift(reference, window)
