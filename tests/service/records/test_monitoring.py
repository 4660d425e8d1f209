"""The text of a process's report."""

from datetime import UTC, datetime

import pytest

from service.records.monitoring import ProcessBeat, ProcessStatus

AT = datetime(2026, 3, 1, tzinfo=UTC)


def beat(**changes):
    """Return a heartbeat."""
    values = {
        "name": "n",
        "role": "receive",
        "host": "h",
        "pid": 1,
        "started_at": AT,
        "seen_at": AT,
        "restarts": 0,
        "detail": "listening on port 104",
    }
    return ProcessBeat(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "listening on port 104"),
        (
            {"status": ProcessStatus.REFUSING, "reason": "the disk is full"},
            "listening on port 104, refuses images: the disk is full",
        ),
        ({"detail": "", "status": ProcessStatus.LOADING}, "loading the model"),
    ],
)
def test_activity_status_and_reason(changes, text):
    """Joined where they are given."""
    assert beat(**changes).text == text


def test_only_a_model_that_was_not_loaded_is_a_load_failure():
    """Other reasons are not."""
    failed = beat(status=ProcessStatus.NOT_LOADED, reason="no file")
    assert failed.load_failure == "no file"
    assert beat(status=ProcessStatus.FAILING, reason="x").load_failure == ""
    assert all(status.text for status in ProcessStatus if status is not ProcessStatus.WORKING)
