"""Pauses of destinations in the database: claims, sweeps, the time limit, the audit trail, incidents."""

from datetime import timedelta

import pytest

from service.audit import AuditAction, AuditEvent
from service.destination_backlog import DestinationState
from service.errors import NotFound
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.service.store.records import claimed, deliver_all, drafted

PAUSE = AuditEvent(action=AuditAction.PAUSED, actor="kim (web page)", detail="A: disk is full")
RESUME = AuditEvent(action=AuditAction.RESUMED, actor="lee (web page)", detail="A")
HOUR = 3600


@pytest.fixture
def job(store):
    """A job whose results wait for A and B."""
    job = claimed(store)
    drafted(store, job, ("A", "B"))
    return job


def pause(store, name="A"):
    """Pause a destination."""
    return store.pause_destination(name, "disk is full", PAUSE, configured=["A", "B"])


def delivery_to(store, job, name="A"):
    """Return the job's delivery to a destination."""
    return next(each for each in store.deliveries(job.id) if each.destination == name)


def test_no_claim_and_no_message_for_a_paused_destination(store, job, clock):
    """B gets its results; A's is neither claimed nor published, and no attempt is counted."""
    pause(store)
    assert store.claim_delivery(job.id, "w", 60, {})[0].destination == "B"
    assert store.claim_delivery(job.id, "w", 60, {}) is None
    assert store.claim_delivery(None, "w", 60, {}) is None
    clock.move(HOUR)
    due = store.due_deliveries(clock(), clock())
    assert [number for number, _, _ in due] == []
    waits = delivery_to(store, job)
    assert (waits.state, waits.attempts) == (DeliveryState.PENDING, 0)


def test_it_holds_for_a_store_that_is_opened_later(store, job, database_url, clock):
    """As after a restart; a resume there makes the delivery due here."""
    pause(store, "A")
    pause(store, "B")
    later = Store(database_url, clock=clock)
    try:
        assert later.claim_delivery(job.id, "w", 60, {}) is None
        assert later.destination_pauses()["A"].reason == "disk is full"
        later.resume_destination("A", RESUME)
    finally:
        later.close()
    assert store.claim_delivery(job.id, "w", 60, {})[0].destination == "A"
    assert list(store.destination_pauses()) == ["B"]


def test_a_delivery_whose_worker_was_lost_waits_for_the_resume(store, job, clock):
    """The pause began while it was being sent: it is sent once more after the resume only."""
    first, _ = store.claim_delivery(job.id, "w", 60, {})
    pause(store)
    clock.move(61)
    assert store.take_back_deliveries(clock()) == 1
    assert store.claim_delivery(job.id, "w", 60, {})[0].destination == "B"
    assert delivery_to(store, job).attempts == 1
    store.resume_destination("A", RESUME)
    again, _ = store.claim_delivery(job.id, "w", 60, {})
    assert (again.id, again.attempts) == (first.id, 2)


def test_a_delivery_that_is_being_sent_is_confirmed_during_the_pause(store, job):
    """A confirmed delivery stays confirmed."""
    sent, _ = store.claim_delivery(job.id, "w", 60, {})
    pause(store)
    store.extend_delivery(sent.id, sent.fence, 60)
    store.confirm_delivery(sent.id, sent.fence)
    assert delivery_to(store, job).state is DeliveryState.CONFIRMED


def test_a_long_pause_fails_nothing_and_the_time_limit_begins_anew(store, job, clock):
    """After four days of pause the result is due at once and its full time limit begins anew."""
    claim, _ = store.claim_delivery(job.id, "w", 60, {})
    store.postpone_delivery(claim.id, claim.fence, "no answer", 600)
    pause(store)
    clock.move(96 * HOUR)
    before = clock() - timedelta(hours=72)
    assert store.fail_overdue("A", before, "no answer") == 0
    assert store.resume_destination("A", RESUME) == 1
    assert store.fail_overdue("A", clock() - timedelta(hours=72), "no answer") == 0
    waits = delivery_to(store, job)
    assert (waits.created_at, waits.not_before, waits.attempts) == (clock(), None, 1)
    assert deliver_all(store, job).state is JobState.COMPLETED


def test_each_change_is_audited_with_it_and_a_repeated_one_is_refused(store):
    """A refused change leaves no record; a destination can be paused again after a resume."""
    with pytest.raises(IllegalTransition, match="not paused"):
        store.resume_destination("A", RESUME)
    with pytest.raises(NotFound):
        pause(store, "C")
    pause(store)
    with pytest.raises(IllegalTransition, match="paused already"):
        pause(store)
    store.resume_destination("A", RESUME)
    pause(store)
    actions = [each.event.action for each in store.audit_records(AuditFilter())]
    assert actions == [AuditAction.PAUSED, AuditAction.RESUMED, AuditAction.PAUSED]


def test_the_backlog_has_the_pause_and_is_not_overdue(store, job, clock):
    """Also of a destination that the settings no longer name, so that it can be resumed."""
    pause(store)
    pause(store, "B")
    deliver_all(store, job)
    clock.move(HOUR)
    found = {each.destination: each for each in store.backlogs(["A"])}
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(
        "AB", DestinationState.PAUSED
    )
    assert not found["A"].is_overdue(clock(), timedelta(minutes=15))
    assert found["A"].waiting == 1
    assert found["A"].sentence().endswith("; it is paused.")
    assert found["A"].pause.sentence == (
        "Deliveries to A were paused by kim (web page) 2026-03-01T09:00:00Z: disk is full."
    )


def test_a_forgotten_pause_is_one_incident(store, clock):
    """Not before its time, once for each pause, and again for a later one."""

    def forgotten():
        return store.alert_forgotten_pauses(clock() - timedelta(hours=24))

    pause(store)
    clock.move(24 * HOUR)
    assert forgotten() == []
    clock.move(1)
    assert [each.destination for each in forgotten()] == ["A"]
    assert forgotten() == []
    store.resume_destination("A", RESUME)
    pause(store)
    clock.move(25 * HOUR)
    assert len(forgotten()) == 1
    incidents = store.incidents()
    assert [(each.kind, each.subject) for each in incidents] == [
        ("destination_still_paused", "A")
    ] * 2
    assert "wetread destination resume A" in incidents[0].detail
