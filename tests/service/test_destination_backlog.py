"""The condition of a destination as a state and a sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.destination_backlog import Backlog, DestinationState, Trouble

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
FAILED = Backlog(destination="PACS", failed_at=AT, trouble=Trouble.SILENT, last_error="no answer")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, DestinationState.SILENT),
        ({"trouble": Trouble.REFUSED}, DestinationState.REFUSING),
        ({"trouble": Trouble.LOCAL}, DestinationState.CONFIGURATION),
        ({"succeeded_at": LATER}, DestinationState.ANSWERING),
        ({"succeeded_at": AT - timedelta(hours=1)}, DestinationState.SILENT),
        ({"trouble": None, "failed_at": None}, DestinationState.UNUSED),
        ({"configured": False, "succeeded_at": LATER}, DestinationState.CONFIGURATION),
    ],
)
def test_the_latest_attempt_decides(changes, state):
    """A success after the failure; results for an unconfigured destination cannot be sent."""
    assert replace(FAILED, **changes).state is state


def test_it_is_unreached_since_the_first_attempt_or_the_latest_success():
    """The later of the two; a refusal is an answer."""
    assert FAILED.unreached_since == AT
    assert replace(FAILED, tried_since=AT - timedelta(hours=2)).unreached_since == AT - timedelta(
        hours=2
    )
    both = replace(
        FAILED, tried_since=AT - timedelta(hours=2), succeeded_at=AT - timedelta(hours=1)
    )
    assert both.unreached_since == AT - timedelta(hours=1)
    assert replace(FAILED, trouble=Trouble.REFUSED).unreached_since is None
    assert replace(FAILED, succeeded_at=LATER).unreached_since is None


def test_age_of_what_waits():
    """Zero if nothing waits, and for a clock that was ahead."""
    waiting = replace(FAILED, waiting=1, oldest_at=AT)
    assert waiting.age(LATER) == timedelta(hours=1)
    assert waiting.age(AT - timedelta(hours=1)) == timedelta()
    assert waiting.is_overdue(LATER, timedelta(minutes=59))
    assert not waiting.is_overdue(LATER, timedelta(hours=1))
    assert FAILED.age(LATER) == timedelta()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"waiting": 1, "oldest_at": AT},
            "1 result waits for PACS, the oldest from 2026-03-01T09:00:00Z; it does not answer.",
        ),
        (
            {"waiting": 2, "oldest_at": AT, "configured": False},
            (
                "2 results wait for PACS, the oldest from "
                "2026-03-01T09:00:00Z; the settings do not name it."
            ),
        ),
        ({}, "The latest result for PACS failed 2026-03-01T09:00:00Z."),
        ({"succeeded_at": LATER}, "No result waits for PACS."),
    ],
)
def test_the_sentence_names_no_address(changes, sentence):
    """Number, time and state."""
    assert replace(FAILED, **changes).sentence() == sentence
