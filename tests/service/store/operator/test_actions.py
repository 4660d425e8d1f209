"""A person's actions on a job: cancel, withdraw, try again, make urgent."""

from datetime import timedelta

import pytest

from service.jobs import DeliveryState, IllegalTransition, JobState, ReasonCode
from service.store.review.awaiting import WorklistSpan
from tests.service.store.records import (
    STUDY,
    actions,
    arrive,
    claimed,
    deliver_all,
    drafted,
    schedule,
)


def states(store, job):
    """Return the state of each delivery."""
    return [each.state for each in store.deliveries(job.id)]


def test_a_canceled_job_sends_nothing(store):
    """Its open deliveries are canceled; canceled again it is an error."""
    job = drafted(store, claimed(store), ("A", "B"))
    canceled = store.cancel(job.id, "Ann")
    assert (canceled.state, canceled.reason) == (JobState.CANCELED, "Canceled by Ann.")
    assert states(store, job) == [DeliveryState.CANCELED] * 2
    with pytest.raises(IllegalTransition):
        store.cancel(job.id, "Ann")


def test_a_job_canceled_before_it_was_read_is_not_made_again(store):
    """Its images count as read; a later one makes a new job."""
    arrive(store)
    store.cancel(schedule(store).id, "Ann")
    assert schedule(store) is None
    arrive(store, 2)
    assert schedule(store).revision == 2


def test_a_withdrawal_names_what_was_being_sent(store):
    """A delivery in progress may still arrive; nothing else is sent."""
    job = drafted(store, claimed(store), ("A", "B"))
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    under_way = store.withdraw(job.id, "Ann", "It errs.")
    assert under_way.results == {delivery.destination}
    assert under_way.notices == frozenset()
    assert states(store, job) == [DeliveryState.CANCELED] * 2
    assert store.job(job.id).reason_code == ReasonCode.RECALLED


def test_a_delivered_draft_is_withdrawn_in_its_state(store):
    """The history has the reason."""
    job = deliver_all(store, drafted(store, claimed(store)))
    store.withdraw(job.id, "Ann", "It errs.")
    after = store.job(job.id)
    assert (after.state, after.reason) == (JobState.COMPLETED, "It errs.")
    assert actions(store, job)[-1] == "recall"


def test_a_failed_reading_is_read_again(store):
    """With a new count of attempts."""
    job = claimed(store)
    store.fail(job.id, job.fence, "PIXEL_ERROR", "No.")
    again = store.retry(job.id, "Ann")
    assert (again.state, again.attempts, again.reason) == (
        JobState.SCHEDULED,
        0,
        "Tried again by Ann.",
    )


def test_a_refused_draft_is_sent_again(store):
    """The draft stays as it is."""
    job = drafted(store, claimed(store))
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.fail_delivery(delivery.id, delivery.fence, "refused")
    assert store.job(job.id).state is JobState.FAILED
    assert store.retry(job.id, "Ann").state is JobState.DRAFTED
    assert states(store, job) == [DeliveryState.PENDING]
    assert store.deliveries(job.id)[0].last_error == ""


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (lambda store, job: deliver_all(store, drafted(store, job)), "does not allow retry"),
        (lambda store, job: store.withdraw(job.id, "Ann", "x"), "withdrawn"),
    ],
)
def test_what_has_arrived_or_was_withdrawn_is_not_tried_again(store, end, problem):
    """The message states what to do instead."""
    job = claimed(store)
    end(store, job)
    with pytest.raises(IllegalTransition, match=problem):
        store.retry(job.id, "Ann")


def test_a_job_whose_images_were_removed_needs_them_again(store):
    """Sent again, the study is read."""
    job = claimed(store)
    store.fail(job.id, job.fence, "PIXEL_ERROR", "No.")
    store.removed(job.id, "Old.")
    store.mark_instance_removed(store.spooled(STUDY)[0])
    with pytest.raises(IllegalTransition, match="send the study again"):
        store.retry(job.id, "Ann")
    arrive(store)
    again = store.retry(job.id, "Ann")
    assert (again.state, again.removed_at) == (JobState.SCHEDULED, None)


def test_a_removed_draft_is_not_replaced_in_its_job(store, reviewing):
    """Its decision would count for the new draft; a new revision awaits a decision of its own."""
    job = reviewing.drafted(store, STUDY)
    request = reviewing.request()
    store.decide(job.id, request, reviewing.roentgen, key="k", digest="d", audit=reviewing.audit)
    store.cancel(job.id, "Ann")
    store.removed(job.id, "Old.")
    for kept in store.spooled(STUDY):
        store.mark_instance_removed(kept)
    with pytest.raises(IllegalTransition, match="send the study again"):
        store.retry(job.id, "Ann")
    arrive(store)
    with pytest.raises(IllegalTransition, match="have the study read again"):
        store.retry(job.id, "Ann")
    again = schedule(store, force=True)
    drafted(store, store.claim_reading(again.id, "reader", 60))
    assert store.standing_decisions([job.id, again.id]).keys() == {job.id}
    now = store.now()
    span = WorklistSpan(since=now - timedelta(1), overdue_before=now)
    assert [each.id for each in store.worklist_page(span, limit=5).jobs] == [again.id]


def test_urgent_once(store):
    """A second time adds no line to the history."""
    arrive(store)
    job = schedule(store)
    for _ in range(2):
        assert store.make_urgent(job.id, "Ann").urgent
    assert actions(store, job).count("make_urgent") == 1
