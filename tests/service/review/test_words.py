"""The labels of a review."""

import pytest

from service.review.words import (
    ACCEPTABILITY_TEXT,
    OBSTACLE_TEXT,
    Acceptability,
    Obstacle,
    Verdict,
)


def test_every_step_and_obstacle_has_a_text():
    """For people."""
    assert set(ACCEPTABILITY_TEXT) == set(Acceptability)
    assert set(OBSTACLE_TEXT) == set(Obstacle)
    assert all(each.text.endswith(".") for each in Acceptability)


@pytest.mark.parametrize(("step", "expected"), [(1, True), (2, True), (3, False), (4, False)])
def test_the_first_two_steps_are_acceptable(step, expected):
    """As the figures count them."""
    assert Acceptability(step).is_acceptable is expected


def test_a_rejection_makes_no_report():
    """The other verdicts do."""
    assert [each for each in Verdict if not each.makes_report] == [Verdict.REJECT]
