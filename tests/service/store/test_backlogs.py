"""The results that wait for each destination, and the incidents of those that accept none."""

from datetime import timedelta

from service.destination_backlog import Trouble
from tests.service.store.records import claimed, drafted


def test_waiting_results_are_counted_by_destination(store, clock):
    """A configured destination without results is listed too; one that is not configured is marked."""
    drafted(store, claimed(store), ("A", "B"))
    clock.move(60)
    drafted(store, claimed(store, study="1.9"), ("A",))
    first, second, third = store.backlogs(["A", "C"])
    assert (first.destination, first.waiting, first.configured) == ("A", 2, True)
    assert first.oldest_at == clock() - timedelta(seconds=60)
    assert (second.destination, second.waiting, second.configured) == ("B", 1, False)
    assert (third.destination, third.waiting, third.oldest_at) == ("C", 0, None)


def test_the_latest_failure_and_success_are_named(store, clock):
    """With the kind of trouble, the error, and when the next try is due."""
    job = drafted(store, claimed(store), ("A",))
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    again = clock() + timedelta(seconds=30)
    store.postpone_delivery(delivery.id, delivery.fence, "no answer", 30, trouble=Trouble.SILENT)
    (backlog,) = store.backlogs(["A"])
    assert (backlog.trouble, backlog.last_error) == (Trouble.SILENT, "no answer")
    assert (backlog.failed_at, backlog.next_try_at) == (clock(), again)
    clock.move(31)
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.confirm_delivery(delivery.id, delivery.fence)
    (backlog,) = store.backlogs(["A"])
    assert (backlog.waiting, backlog.succeeded_at) == (0, clock())


def test_an_outage_is_one_incident_and_its_end_another(store):
    """For any number of calls; an end without a beginning is ignored."""
    noted = [
        store.note_outage("A", away=away, actor="sweeper", detail="It waits.")
        for away in (False, True, True, False, False, True)
    ]
    assert noted == [False, True, False, True, False, True]
    kinds = [each.kind for each in store.incidents()]
    assert kinds == ["destination_away", "destination_back", "destination_away"]
