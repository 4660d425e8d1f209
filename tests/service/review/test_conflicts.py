"""Errors of a review that was changed meanwhile."""

import pytest

from service.review.conflicts import (
    AlreadyDecided,
    CannotDecide,
    ReviewConflict,
    TooManyQuestions,
    VersionConflict,
)
from service.review.words import OBSTACLE_TEXT, Obstacle


def test_messages_for_the_person():
    """Each message states what to do."""
    assert str(VersionConflict(None)) == (
        "no text is stored: compare the two and decide which one stays"
    )
    assert AlreadyDecided("decided", None).standing is None
    assert str(CannotDecide(Obstacle.REMOVED)) == OBSTACLE_TEXT[Obstacle.REMOVED]
    assert str(CannotDecide(Obstacle.NO_DRAFT, "Wait.")).endswith("no draft. Wait.")


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (90, 2), (3600, 60)])
def test_the_next_question_in_minutes(seconds, minutes):
    """Never none."""
    error = TooManyQuestions(5, seconds)
    assert f"taken in {minutes} min." in str(error)
    assert error.retry_after == seconds
    assert isinstance(error, ReviewConflict)
