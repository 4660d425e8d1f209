"""Percentiles of a histogram are close to those of the values."""

import math
import random

import pytest

from service.throughput.histogram import (
    BUCKETS,
    SHORTEST,
    LatencyHistogram,
    bucket_of,
    merged,
    middle,
)


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("seed", range(5))
def test_a_percentile_is_close_to_that_of_the_values(share, seed):
    """The error is below 9 %, here over five decades."""
    values = sorted(
        math.exp(random.Random(seed * 1000 + n).uniform(math.log(0.3), math.log(15_000)))
        for n in range(997)
    )
    exact = values[math.ceil(share * len(values)) - 1]
    found = LatencyHistogram.of(values).percentile(share)
    assert abs(found / exact - 1) < 0.09


def test_hours_are_added_up():
    """The sum is the histogram of all values, also by way of JSON."""
    first, second = [0.1, 3.0, 3.1], [3.05, 900.0]
    stored = [
        LatencyHistogram.from_json(LatencyHistogram.of(each).to_json()) for each in (first, second)
    ]
    assert merged(stored) == LatencyHistogram.of([*first, *second])
    assert merged(stored).n == 5


def test_values_beyond_the_buckets_count_in_the_outermost():
    """And no percentile is given without a value."""
    assert (bucket_of(0.0), bucket_of(1e9)) == (0, BUCKETS - 1)
    assert LatencyHistogram().percentile(0.95) is None
    bounds = [SHORTEST * 2 ** (number / 8) for number in range(BUCKETS)]
    assert all(low < middle(number) < low * 1.1 for number, low in enumerate(bounds))
