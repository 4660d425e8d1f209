"""Rows become records; what cannot be mapped hides no other row."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from service.database.tables import JobRow
from service.jobs import JobState
from service.records import DraftFilter
from service.store import Store, record_mapping
from tests.service.store.records import claimed, draft_of, image, objects_of

# PostgreSQL counts the parameters of a statement in 16 bits.
MORE_THAN_A_STATEMENT_HOLDS = 66_000
COPIES = """
    INSERT INTO jobs SELECT copy.* FROM jobs job, generate_series(1, :count) number,
    LATERAL jsonb_populate_record(job, jsonb_build_object(
        'id', lpad(number::text, 32, '0'), 'revision', number + 1, 'draft', '{}'::jsonb)) copy
"""


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


@pytest.mark.slow
def test_any_number_of_withdrawn_drafts_is_listed(postgres_server, postgres_template):
    """As a recall does that is run again; those that were withheld are known among them."""
    store = Store(postgres_server.new_database(template=postgres_template))
    job = claimed(store)
    until = store.now() + timedelta(hours=1)
    store.draft(job.id, job.fence, draft_of(job), objects_of(job), (), withheld_until=until)
    store.withdraw(job.id, "ann", "It errs.")
    with store._writing() as session:
        session.execute(text(COPIES), {"count": MORE_THAN_A_STATEMENT_HOLDS})
    found = store.jobs_with_drafts(DraftFilter())
    assert len(found) == MORE_THAN_A_STATEMENT_HOLDS + 1
    assert [each.id for each in found if each.never_shown] == [job.id]
    store.close()


def test_a_withdrawn_draft_was_shown_if_it_was_sent_or_its_job_was_completed(store):
    """Each with and without a destination."""
    until = store.now() + timedelta(hours=1)
    seen = {}
    for study, destinations, shows in (
        ("1.1", (), False),
        ("1.2", ("PACS",), False),
        ("1.3", (), True),
        ("1.4", ("PACS",), True),
    ):
        job = claimed(store, study=study)
        store.draft(job.id, job.fence, draft_of(job), objects_of(job), destinations, until)
        if shows:
            store.cancel(job.id, "ann")
            store.retry(job.id, "ann")
        store.withdraw(job.id, "ann", "It errs.")
        seen[study] = not store.job(job.id).never_shown
    assert seen == {"1.1": False, "1.2": False, "1.3": True, "1.4": True}
