"""A figure that has no value is neither 0 nor NaN, and unusable arguments are refused by name."""

import numpy as np
import pytest

from service.evaluation.values import (
    EvaluationInputError,
    Reason,
    Undefined,
    checked_counts,
    checked_level,
    checked_scores,
    checked_truth,
    mean_of_defined,
    ratio,
)


def test_a_ratio_over_nothing_is_undefined_with_its_reason():
    """0/0 and 3/0 are Undefined; 0/3 is the figure 0."""
    assert ratio(0, 0, Reason.NO_POSITIVES) == Undefined(Reason.NO_POSITIVES)
    assert ratio(3, 0, Reason.NO_CASES) == Undefined(Reason.NO_CASES)
    assert ratio(0, 3, Reason.NO_CASES) == 0.0


def test_an_undefined_value_cannot_be_used_as_a_number_or_a_condition():
    """Code that does not check for it gets an error."""
    undefined = Undefined(Reason.NO_CASES)
    with pytest.raises(TypeError):
        bool(undefined)
    with pytest.raises(TypeError):
        float(undefined)
    with pytest.raises(TypeError):
        undefined + 1


def test_a_mean_leaves_undefined_values_out():
    """The mean of none is Undefined."""
    assert mean_of_defined([1.0, Undefined(Reason.EMPTY_CLASS), 0.0]) == 0.5
    assert mean_of_defined([Undefined(Reason.EMPTY_CLASS)]) == Undefined(Reason.NO_DEFINED_CLASS)


@pytest.mark.parametrize("truth", [[0, 2], [[0, 1]], [0.5], [np.nan]])
def test_a_truth_that_is_not_binary_is_refused(truth):
    """Only 0 and 1 in one dimension."""
    with pytest.raises(EvaluationInputError, match="truth"):
        checked_truth(truth)


@pytest.mark.parametrize("scores", [[0.5], [0.1, np.nan], [0.1, np.inf], [0.1, 1.2], [[0.1, 0.2]]])
def test_scores_that_are_no_probabilities_of_these_cases_are_refused(scores):
    """Length, NaN, infinity and range."""
    with pytest.raises(EvaluationInputError, match="scores"):
        checked_scores(scores, 2, probabilities=True)


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_a_count_is_a_whole_number_of_at_least_zero(count):
    """The message names the argument."""
    with pytest.raises(EvaluationInputError, match="positives"):
        checked_counts(positives=count)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_a_level_lies_between_zero_and_one(level):
    """95 is not 0.95."""
    with pytest.raises(EvaluationInputError, match="level"):
        checked_level(level)
