"""The notice that a study was not read has deliveries of its own; the job has still ended."""

from datetime import timedelta
from pathlib import Path

import pytest

from dicom.study import Instance
from service.errors import LeaseLost
from service.jobs import DeliveryState, JobState
from service.records import ResultObject

STUDY = "1.2.3"


@pytest.fixture
def unread(store):
    """A function that makes a job NOT_ANALYSED with a notice for the named destinations."""

    def make(*destinations):
        image = Instance(
            sop_instance_uid=f"{STUDY}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{STUDY}.2",
            study_instance_uid=STUDY,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("/spool/image"),
            digest="a" * 64,
            size=1,
        )
        store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
        store.schedule(STUDY, model="tiny", version="1", actor="t", reason="Released.")
        (waiting,) = store.jobs([JobState.SCHEDULED])
        job = store.claim_reading(waiting.id, "reader", 60)
        notice = [notice_of(job)] if destinations else []
        return store.not_analysed(
            job.id,
            job.fence,
            "NOT_FRONTAL",
            "Only a lateral image.",
            notice=notice,
            destinations=destinations,
        )

    return make


def notice_of(job):
    """The record of a notice for the job."""
    return ResultObject(
        kind="not-analysed",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
        sop_instance_uid=f"2.25.{int(job.id, 16)}",
        series_instance_uid="2.25.9",
        study_instance_uid=STUDY,
        path=Path("/outbox/not-analysed.dcm"),
        sha256="b" * 64,
    )


def test_without_destinations_there_is_nothing_to_deliver(unread, store):
    """The job is NOT_ANALYSED; no object, no delivery."""
    job = unread()
    assert job.state is JobState.NOT_ANALYSED
    assert (store.objects(job.id), store.deliveries(job.id)) == ([], [])
    assert store.claim_delivery(None, "sender", 60, {}) is None


def test_a_notice_is_delivered_and_the_job_stays_as_it_ended(unread, store):
    """Each destination confirms; the state, its code and its reason do not change."""
    job = unread("A", "B")
    while found := store.claim_delivery(None, "sender", 60, {}):
        delivery, objects = found
        assert [item.kind for item in objects] == ["not-analysed"]
        assert store.confirm_delivery(delivery.id, delivery.fence) is JobState.NOT_ANALYSED
    after = store.job(job.id)
    assert (after.state, after.reason_code) == (JobState.NOT_ANALYSED, "NOT_FRONTAL")
    states = {delivery.state for delivery in store.deliveries(job.id)}
    assert states == {DeliveryState.CONFIRMED}


def test_a_notice_that_a_destination_refuses_fails_its_delivery_only(unread, store):
    """The delivery is FAILED with its error; the job is not."""
    job = unread("A")
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    assert store.fail_delivery(delivery.id, delivery.fence, "Refused.") is JobState.NOT_ANALYSED
    (failed,) = store.deliveries(job.id)
    assert (failed.state, failed.last_error) == (DeliveryState.FAILED, "Refused.")
    assert "deliver_failed" in [event.action for event in store.events(job.id)]


def test_a_destination_that_is_away_is_tried_again_by_the_sweeper(unread, store, clock):
    """The postponed delivery is due after its wait."""
    job = unread("A")
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.postpone_delivery(delivery.id, delivery.fence, "Away.", 5)
    assert store.due_deliveries(clock(), clock()) == []
    now = clock.move(6)
    ((number, due, _),) = store.due_deliveries(now, now)
    assert (number, due.id, due.state) == (delivery.id, job.id, JobState.NOT_ANALYSED)


def test_reading_again_takes_the_notice_back(unread, store):
    """While the job waits nothing more is sent, and its next end replaces the notice."""
    job = unread("A")
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.retry(job.id, "t")
    assert store.confirm_delivery(delivery.id, delivery.fence) is JobState.SCHEDULED
    assert store.job(job.id).state is JobState.SCHEDULED
    again = store.claim_reading(job.id, "reader", 60)
    store.not_analysed(again.id, again.fence, "NOT_CHEST", "A hand.")
    assert (store.objects(job.id), store.deliveries(job.id)) == ([], [])
    with pytest.raises(LeaseLost):
        store.fail_delivery(delivery.id, delivery.fence, "Late.")


def test_files_stay_while_a_notice_waits(unread, store, clock):
    """Retention leaves a study whose notice has not arrived; and takes it when it has."""
    job = unread("A")
    clock.move(timedelta(days=40).total_seconds())
    assert store.removable(clock()) == []
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.confirm_delivery(delivery.id, delivery.fence)
    clock.move(timedelta(days=40).total_seconds())
    assert store.removable(clock()) == [STUDY]
