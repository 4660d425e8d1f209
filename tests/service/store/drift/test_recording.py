"""Each reading gives one row of drift."""

import pytest

from dicom.content.report import Finding, Observation, Presence
from service.drift import streams
from service.drift.rows import Category, MonitorRow, RowKind
from service.store.drift.recording import (
    DRAFT,
    FAILED,
    NOT_ANALYZED,
    categories_of_json,
    pair_events,
)
from tests.service.store.records import claimed, drafted, image

EFFUSION, EDEMA = Observation.PLEURAL_EFFUSION, Observation.EDEMA


def finding(observation, presence):
    """Return a finding."""
    return Finding(observation=observation, presence=presence)


@pytest.mark.parametrize(
    ("ours", "theirs", "disagree"),
    [
        (Presence.PRESENT, "present", False),
        (Presence.PRESENT, "absent", True),
        (Presence.ABSENT, "present", True),
        (Presence.ABSENT, None, False),
        (Presence.PRESENT, None, True),
    ],
)
def test_draft_and_report_agree_or_not(ours, theirs, disagree):
    """A finding that the report does not mention counts as negative."""
    final = {} if theirs is None else {EFFUSION.value: Presence(theirs).value}
    events = pair_events([finding(EFFUSION, ours)], final)
    assert events[streams.disagreement_stream(EFFUSION)] is disagree
    assert events[streams.drafted_event(EFFUSION)] is (ours is Presence.PRESENT)


def test_uncertain_pairs_are_left_out():
    """On either side."""
    events = pair_events(
        [finding(EFFUSION, Presence.UNCERTAIN), finding(EDEMA, Presence.PRESENT)],
        {EDEMA.value: Presence.UNCERTAIN.value},
    )
    assert streams.disagreement_stream(EFFUSION) not in events
    assert streams.disagreement_stream(EDEMA) not in events
    assert streams.disagreement_stream(Observation.PNEUMOTHORAX) in events


def test_categories_of_another_version_are_left_out():
    """An unknown name is no error."""
    assert categories_of_json({"view": "PA", "other": "x"}) == {Category.VIEW: "PA"}


def test_readings_that_ended_are_recorded_once(store, clock):
    """With their outcome; a failed one again once it has a draft."""
    job = drafted(store, claimed(store))
    failed = claimed(store, study="1.8")
    store.fail(failed.id, failed.fence, "PIXEL_ERROR", "No.")
    clock.move(1)
    other = claimed(store, study="1.9")
    store.not_analysed(other.id, other.fence, "LATERAL", "Only a lateral.")
    found = {each.job.id: each for each in store.readings_to_record()}
    assert {key: each.outcome for key, each in found.items()} == {
        job.id: DRAFT,
        failed.id: FAILED,
        other.id: NOT_ANALYZED,
    }
    assert found[job.id].image == image()
    for each in found.values():
        row = MonitorRow(
            kind=RowKind.READING,
            source_id=each.job.id,
            job_id=each.job.id,
            study_uid=each.job.study_instance_uid,
            at=clock(),
            day="2026-03-01",
        )
        store.record_monitor_rows([row], each.outcome)
    assert store.readings_to_record() == []
    store.retry(failed.id, "Ann")
    drafted(store, store.claim_reading(failed.id, "reader", 60))
    assert [each.job.id for each in store.readings_to_record()] == [failed.id]
