"""Filters of the queue's page from URLs: parsed, written back, refused with a message."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.exceptions import HTTPException

from service.jobs import DraftStatus, JobState
from service.store.job_lists.criteria import JobFilter
from service.web.queue.filters import QueueChoice, parse_choice

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def test_parameters_become_a_filter_and_parameters_again():
    """Each parameter is one condition; empty ones are none."""
    given = {
        "state": "FAILED",
        "calling_ae": "CR 1",
        "destination": "pacs",
        "model": "demo",
        "older_than": "2h",
        "cause": "not_delivered",
        "text": "1.2.826",
    }
    choice = parse_choice({**given, "before": ""}.items())
    assert choice.query == {**given, "cause": "NOT_DELIVERED"}
    assert parse_choice(choice.query.items()) == choice
    assert choice.job_filter(NOW) == JobFilter(
        states=(JobState.FAILED,),
        calling_ae="CR 1",
        destination="pacs",
        model="demo",
        created_before=NOW - timedelta(hours=2),
        cause="NOT_DELIVERED",
        text="1.2.826",
    )
    assert parse_choice([("state", ""), ("text", " ")]) == QueueChoice()
    assert parse_choice([("state", "IN_DOUBT")]).job_filter(NOW) == JobFilter(
        status=DraftStatus.IN_DOUBT
    )


def test_words_leave_out_a_text_where_they_are_recorded():
    """A text may name a patient; the audit trail's detail does not."""
    choice = QueueChoice(state=JobState.FAILED, older_than="3d", text="Kim")
    assert choice.words() == "state Failed, older than 3d, text Kim"
    assert "Kim" not in choice.words(hides_text=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("state", "NONSENSE", "SCHEDULED, IN_PROGRESS"),
        ("state", "SUPERSEDED", "no such state"),
        ("calling_ae", "A" * 17, "calling_ae: not a valid AE title"),
        ("calling_ae", "a\\b", "calling_ae: not a valid AE title"),
        ("older_than", "0h", "30m, 2h or 3d"),
        ("older_than", "99999d", "30m, 2h or 3d"),
        ("older_than", "٣h", "30m, 2h or 3d"),
        ("cause", "'; DROP TABLE jobs", "NOT_DELIVERED"),
        ("cause", "ſOT", "NOT_DELIVERED"),
        ("destination", "x" * 41, "at most 40"),
        ("model", "a\0b", "at most 64 printable"),
        ("text", "k", "at least 2"),
        ("text", "x" * 101, "at most 100"),
        ("text", "a\0b", "printable"),
        ("patient_name", "Kim", "The filters are state, calling_ae"),
    ],
)
def test_an_invalid_filter_is_refused_with_what_to_do(name, value, message):
    """Unknown parameters too: a filter that is left out would list, and change, more jobs."""
    with pytest.raises(HTTPException) as refused:
        parse_choice([(name, value)])
    assert refused.value.status_code == 400
    assert message in refused.value.detail


def test_a_parameter_given_twice_is_refused():
    """It would be a guess which of both applies."""
    with pytest.raises(HTTPException, match="only once"):
        parse_choice([("cause", "A"), ("cause", "B")])
