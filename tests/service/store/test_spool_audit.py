"""Rows whose files should exist."""

from pathlib import Path

from service.jobs import JobState
from service.spool_findings import Kind
from tests.service.store.records import (
    STUDY,
    actions,
    arrive,
    claimed,
    deliver_all,
    drafted,
    image,
    objects_of,
)


def test_instances_are_listed_in_pieces(store):
    """By their row id; removed ones are left out, but still found by name."""
    for number in (1, 2, 3):
        arrive(store, number)
    first, second = store.instances_after(0, limit=2)
    assert [each.sop_instance_uid for each in (first, second)] == [f"{STUDY}.1.1", f"{STUDY}.1.2"]
    (third,) = store.instances_after(second.id, limit=9)
    store.mark_instance_removed(third)
    assert store.instances_after(second.id, limit=9) == []
    named = store.instances_named({(third.sop_instance_uid, third.digest), ("9.9", "a" * 64)})
    assert [each.is_removed for each in named.values()] == [True]


def test_an_instance_is_found_by_path_and_by_other_digests(store):
    """A digest of another algorithm has another length."""
    arrive(store)
    assert store.instance_at(image().path).sop_instance_uid == image().sop_instance_uid
    assert store.instance_at(Path("/nowhere")) is None
    assert store.instances_of_other_digest(image().sop_instance_uid, "b" * 64) == []
    assert len(store.instances_of_other_digest(image().sop_instance_uid, "b" * 56)) == 1


def test_a_moved_file_has_its_new_path(store):
    """The row follows it."""
    arrive(store)
    (row,) = store.instances_after(0, limit=1)
    store.set_instance_path(row, Path("/spool/new.dcm"))
    assert store.instance_at(Path("/spool/new.dcm")).id == row.id


def test_a_lost_file_is_an_incident_and_a_line_in_each_history(store):
    """Recorded once; the image counts as new when it comes again."""
    job = claimed(store)
    (row,) = store.instances_after(0, limit=1)
    for _ in range(2):
        store.give_up_instance(row, "spool verify", Kind.LOST_IMAGE, "Its file is gone.")
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == (Kind.LOST_IMAGE.value, row.sop_instance_uid)
    assert actions(store, job).count(Kind.LOST_IMAGE.value) == 1
    assert store.job_states(STUDY) == [(job.id, JobState.IN_PROGRESS)]


def test_results_that_no_destination_has_must_exist(store):
    """After the confirmation they need not."""
    job = claimed(store)
    drafted(store, job)
    assert store.known_jobs([job.id, "0" * 32]) == {job.id}
    rows = store.unsent_after(0, limit=9)
    assert [each.path for each in rows] == [each.path for each in objects_of(job)]
    assert store.unsent_after(rows[0].id, limit=9) == rows[1:]
    deliver_all(store, job)
    assert store.unsent_after(0, limit=9) == []
