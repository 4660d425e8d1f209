"""Figures of `metrics.json` in words, also of a damaged file."""

import math

import pytest

from service.quality.evaluation_folder import shown_figure

INTERVAL = {"low": 0.25, "high": 0.75}


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ({"value": 0.5, "interval": INTERVAL}, "0.50 (0.25 to 0.75)"),
        ({"value": 0.5, "interval": {"undefined": "one"}}, "0.50 (interval undefined: one)"),
        ({"value": {"undefined": "no cases"}}, "undefined: no cases"),
        ({"n": 3, "needed": 10, "of": "cases"}, "too few cases (n = 3)"),
        ({"value": math.nan, "interval": INTERVAL}, "undefined: no number"),
        ({"value": True, "interval": INTERVAL}, "undefined: no number"),
        ({"value": "x"}, "undefined: no number"),
        (
            {"value": 0.5, "interval": {"low": "x", "high": 1}},
            "0.50 (interval undefined: no numbers)",
        ),
        ({"value": 0.5, "interval": [0, 1]}, "0.50 (interval undefined: no numbers)"),
        (None, "–"),
    ],
)
def test_a_figure_has_its_interval_or_the_reason_why_there_is_none(figure, words):
    """A value of another type is no figure, and no error."""
    assert shown_figure(figure).replace("\N{NO-BREAK SPACE}", " ") == words
