"""Metrics as text: the same bytes for the same figures, no NaN."""

import json

import numpy as np
import pytest

from service.evaluation.labels import Label
from service.evaluation.metrics_json import metrics_json
from service.evaluation.proportions import wilson
from service.evaluation.resampling import Clusters, bootstrap
from service.evaluation.values import EvaluationInputError, Reason, Undefined


def test_records_become_objects_with_six_digits():
    """A figure, its interval and n."""
    assert json.loads(metrics_json({"sensitivity": wilson(109, 150)})) == {
        "sensitivity": {
            "value": 0.726667,
            "interval": {"low": 0.650355, "high": 0.791659, "level": 0.95},
            "n": 150,
        }
    }


def test_what_is_undefined_states_why():
    """It is an object, so that no reader takes it for a number."""
    text = metrics_json([Undefined(Reason.NO_POSITIVES), wilson(0, 0).value, None])
    assert json.loads(text) == [
        {"undefined": "no positive cases"}, {"undefined": "no cases"}, None,
    ]  # fmt: skip


def test_the_order_of_keys_and_the_sign_of_zero_change_nothing():
    """And numpy's numbers are those of Python."""
    one = metrics_json({"b": -0.0, "a": np.float64(0.1), "c": np.int64(2), "d": Label.POSITIVE})
    other = metrics_json({"d": 1, "c": 2, "a": 0.1 + 1e-12, "b": 0.0})
    assert one == other
    assert one.endswith("}\n")


def test_a_bootstrap_repeats_to_the_byte():
    """Same inputs, same seed; another seed gives other bytes."""
    values, clusters = (
        np.random.default_rng(1).normal(size=50),
        Clusters([f"{n}" for n in range(50)]),
    )

    def text(seed):
        found = bootstrap(lambda rows: float(rows.mean()), values, clusters, draws=200, seed=seed)
        return metrics_json({"mean": found, "values": values})

    assert text(0) == text(0)
    assert text(0) != text(1)


@pytest.mark.parametrize(
    ("metrics", "where"),
    [
        ({"a": [1.0, float("nan")]}, r"metrics\.a\[1\] is nan"),
        ({"a": np.array([np.inf])}, r"metrics\.a\[0\] is inf"),
        ({"a": {1: 2}}, r"metrics\.a: the key 1"),
        ({"a": {2, 3}}, r"metrics\.a: a set"),
    ],
)
def test_what_is_no_figure_is_refused_with_its_place(metrics, where):
    """NaN, infinity, keys that are not text, sets without an order."""
    with pytest.raises(EvaluationInputError, match=where):
        metrics_json(metrics)
