"""Statements that are compiled once do the same as the library's own, for any number of rows."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from dicom.study import Instance
from service.errors import SchemaMismatch, StoreError
from service.records import Arrival, ArrivedInstance, JobRequest
from service.store import Store
from service.store.statements.compiled import ROWS_AT_ONCE, choice_of


def image(number, *, study=None, urgent=False):
    """An image of a study of its own, sent over an association of its own."""
    uid = study or f"1.2.{number}"
    instance = Instance(
        sop_instance_uid=f"1.2.{number}.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"{uid}.1",
        study_instance_uid=uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{number}%s :x 'ä'.dcm"),
        digest=f"{number:064x}",
        size=2**40 + number,
    )
    return ArrivedInstance(
        instance=instance,
        calling_ae="MODALITY",
        association_id=f"A{number}",
        eligible=True,
        urgent=urgent,
    )


def wanted(store, images):
    """The release requests of the images' associations, by study."""
    complete = store.completed_by([each.association_id for each in images])
    return [
        JobRequest(study_instance_uid=uid, model="tiny", version="1", destinations=("PACS",))
        for uid, _ in sorted(complete)
    ]


@pytest.mark.parametrize("count", [1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 3])
def test_images_that_arrive_together_are_each_kept_as_they_came(database_url, count):
    """Each row has its own image's values, for any number of statements."""
    store = Store(database_url)
    images = [image(number) for number in range(1, count + 1)]
    assert store.add_instances(images) == [Arrival.NEW] * count
    kept = [store.study(each.instance.study_instance_uid).instances for each in images]
    assert kept == [(each.instance,) for each in images]


def test_every_finding_is_reported_in_one_long_batch(database_url):
    """Known, doubled and conflicting images are distinguished from new ones across statements."""
    store = Store(database_url)
    images = [image(number) for number in range(1, 2 * ROWS_AT_ONCE)]
    store.add_instances([images[1], images[-1]])
    other = replace(images[2], instance=replace(images[2].instance, digest="f" * 64))
    found = store.add_instances([*images, images[0], other])
    expected = [Arrival.NEW] * len(images)
    expected[1] = expected[-1] = Arrival.SAME
    assert found == [*expected, Arrival.SAME, Arrival.CONFLICT]


def test_the_reported_job_is_the_stored_job(database_url):
    """The returned records of many new jobs equal the database, history included."""
    store = Store(database_url)
    images = [image(number, urgent=number % 2 == 0) for number in range(1, ROWS_AT_ONCE + 4)]
    store.add_instances(images)
    jobs = store.schedule_all(wanted(store, images), actor="intake", reason="Released.")
    assert len(jobs) == len(images)
    kept = {job.id: job for job in store.jobs(limit=len(jobs))}
    assert [kept[job.id] for job in jobs] == jobs
    assert [each.action for each in store.events(jobs[-1].id)] == ["schedule"]
    assert {job.study_instance_uid for job in jobs if job.urgent} == {
        each.instance.study_instance_uid for each in images if each.urgent
    }
    assert wanted(store, images) == []


def test_nothing_asked_changes_nothing(database_url):
    """No association and no study are an empty answer."""
    store = Store(database_url)
    assert store.completed_by([]) == []
    assert store.schedule_all([], actor="intake", reason="Released.") == []
    assert store.add_instances([]) == []


def test_a_study_that_two_associations_brought_is_reported_once(database_url):
    """Images of one study on several associations make one study complete."""
    store = Store(database_url)
    images = [image(number, study="1.2.3") for number in (1, 2, 3)]
    store.add_instances(images)
    assert store.completed_by([each.association_id for each in images]) == [("1.2.3", "MODALITY")]


def test_an_error_states_no_value(database_url):
    """The refused values are neither in the error nor in its cause."""
    store = Store(database_url)
    with store._writing() as session:
        session.execute(text("ALTER TABLE instances RENAME TO earlier"))
    with pytest.raises(SchemaMismatch) as caught:
        store.add_instances([image(4711)])
    assert "4711" not in f"{caught.value}{caught.value.__cause__}"


def test_a_time_without_zone_is_a_store_error(database_url):
    """A time without a zone is refused as any other value that cannot be stored."""
    store = Store(database_url, clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the fault
    with pytest.raises(StoreError, match="a value was refused"):
        store.add_instances([image(1)])


@pytest.mark.parametrize(("given", "count"), [(1, 1), (2, 2), (3, 4), (5, 8), (100, 128)])
def test_few_shapes_serve_any_number_of_choices(given, count):
    """The number of marks is a power of two; the last value fills what is left."""
    made, choice = choice_of([str(number) for number in range(given)])
    assert made == len(choice) == count
    assert set(choice.values()) == {str(number) for number in range(given)}
