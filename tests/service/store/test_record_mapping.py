"""Rows become records; what cannot be mapped hides no other row."""

from structlog.testing import capture_logs

from service.database.tables import JobRow
from service.jobs import JobState
from service.store import record_mapping
from tests.service.store.records import claimed, draft_of, image


def row(store, **changes):
    """Return the row of a claimed job, detached, with changes."""
    job = claimed(store)
    with store._reading() as session:
        found = session.get_one(JobRow, job.id)
        session.expunge(found)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_a_draft_is_decoded_or_says_why_not(store):
    """An unknown value in a draft is a fault with its place; the image is known all the same."""
    found = row(store)
    stored = draft_of(record_mapping.job(found)).to_json()
    found.draft = stored
    job = record_mapping.job(found)
    assert (job.draft.findings_text, job.draft_fault) == (("The lungs are clear.",), "")
    found.draft = {**stored, "revision": "one"}
    job = record_mapping.job(found)
    assert job.draft is None
    assert "draft.revision is not an integer" in job.draft_fault
    assert job.drafted_image == image().sop_instance_uid


def test_the_image_of_a_draft_is_found_or_none(store):
    """For any stored JSON."""
    found = row(store)
    for draft in (None, [], {"source": 1}, {"source": {"sop_instance_uid": 5}}):
        found.draft = draft
        assert record_mapping.drafted_image(found) is None


def test_a_row_of_an_unknown_state_is_logged_and_left_out(store):
    """Another version may have written it."""
    good, bad = row(store), JobRow(id="b" * 32, state="DREAMED", destinations=None)
    with capture_logs() as logs:
        (job,) = record_mapping.jobs([bad, good])
    assert job.state is JobState.IN_PROGRESS
    (entry,) = logs
    assert (entry["event"], entry["job_id"]) == ("job_unreadable", "b" * 32)


def test_destinations_are_a_tuple_or_not_recorded(store):
    """Old jobs have none of their own."""
    found = row(store, destinations=["A", "B"])
    assert record_mapping.job(found).destinations == ("A", "B")
    found.destinations = None
    assert record_mapping.job(found).destinations is None
