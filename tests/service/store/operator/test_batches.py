"""One action on many jobs: those counted before, one audit record, one transaction."""

import pytest

from service.audit import AuditAction, AuditEvent, first_fault
from service.errors import SelectionError, StoreUnavailable
from service.jobs import JobState
from service.store.audit.trail import AuditFilter
from service.store.job_lists.criteria import JobFilter
from service.store.operator.batches import MOST, BatchAction, BatchOrder
from tests.service.store.records import arrive, claimed, draft_of, objects_of, schedule

FAILED = JobFilter(states=(JobState.FAILED,))


def failed(store, number):
    """A job of a study of its own that could not be read."""
    job = claimed(store, study=f"1.{number}")
    return store.fail(job.id, job.fence, "PIXEL_ERROR", "The pixels are damaged.")


def order(jobs, action=BatchAction.RETRY, **other):
    """An order for jobs in the state in which they are given."""
    event = AuditEvent(action=AuditAction.RETRIED, actor="kim (web page)", detail="filter: state F")
    counted = [(job.id, job.state) for job in jobs]
    return BatchOrder(action=action, jobs=counted, actor="kim", audit=event, **other)


def records(store):
    """The audit records, the oldest first."""
    return [each.event for each in store.audit_records(AuditFilter(), 99)][::-1]


def test_a_batch_acts_on_what_was_counted_and_names_what_changed(store):
    """Jobs that changed since are refused with both states; one record holds filter and numbers."""
    for number in range(6):
        failed(store, number)
    counted = store.list_jobs(FAILED, limit=99)
    late = failed(store, 7)  # matches, but came after the count
    store.cancel(counted[0].id, "lee")
    store.retry(counted[1].id, "lee")
    result = store.run_batch(order(counted))
    assert sorted(result.done) == sorted(job.id for job in counted[2:])
    assert result.refused == {
        "It has changed since it was counted: from Failed to Canceled.": [counted[0].id],
        "It has changed since it was counted: from Failed to Waiting.": [counted[1].id],
    }
    assert {store.job(each).state for each in result.done} == {JobState.SCHEDULED}
    assert store.job(late.id).state is JobState.FAILED
    assert store.events(result.done[0])[-1].actor == "kim"
    (record,) = records(store)
    assert record.action is AuditAction.RETRIED
    assert record.detail.startswith("4 of 6 jobs; filter: state F; ")
    assert result.done[0][:8] in record.detail
    assert first_fault(store.whole_audit()) == ""


def test_a_batch_is_done_in_whole_or_not_at_all(store, monkeypatch):
    """If the audit record cannot be written every change is rolled back."""
    jobs = [failed(store, number) for number in range(3)]

    def refuse(*_arguments, **_options):
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(store, "_append_audit", refuse)
    with pytest.raises(StoreUnavailable):
        store.run_batch(order(jobs))
    assert {store.job(job.id).state for job in jobs} == {JobState.FAILED}
    assert {len(store.events(job.id)) for job in jobs} == {3}


def test_refusals_are_grouped_by_reason_and_change_nothing(store):
    """Of waiting, delivered and unknown jobs, each action takes those that allow it."""
    held = claimed(store, study="1.1")
    done = store.draft(held.id, held.fence, draft_of(held), objects_of(held), ())
    arrive(store, study="1.2")
    waiting = schedule(store, "1.2")
    assert done.state is JobState.COMPLETED
    both = [done, waiting]
    result = store.run_batch(order(both, BatchAction.CANCEL, reason="Not needed."))
    assert result.done == [waiting.id]
    assert list(result.refused.values()) == [[done.id]]
    assert store.job(waiting.id).reason == "Not needed."
    result = store.run_batch(order([done], BatchAction.URGENT))
    assert result.refused == {"It does not wait to be read.": [done.id]}
    result = store.run_batch(order([done], BatchAction.RESEND))
    assert result.refused == {"This job has no destination: name one to send it to.": [done.id]}
    assert store.deliveries(done.id) == []
    result = store.run_batch(order([done], BatchAction.RESEND, to="pacs"))
    assert result.done == [done.id]
    assert [each.destination for each in store.deliveries(done.id)] == ["pacs"]
    lost = BatchOrder(action=BatchAction.RETRY, jobs=[("0" * 32, JobState.FAILED)], actor="kim")
    assert list(store.run_batch(lost).refused) == ["There is no job 00000000."]


def test_urgent_jobs_are_read_first(store, clock):
    """Urgent by batch, as by the action on one."""
    jobs = []
    for number in range(3):
        arrive(store, study=f"1.{number}")
        jobs.append(schedule(store, f"1.{number}"))
        clock.move(1)
    store.run_batch(order(jobs[1:], BatchAction.URGENT))
    places = store.ahead()
    assert [places[job.id] for job in jobs] == [2, 0, 1]


@pytest.mark.parametrize("number", [0, MOST + 1])
def test_a_batch_has_a_size(store, number):
    """None, or more than 1,000, is refused before anything is done."""
    jobs = [(f"{each:032x}", JobState.FAILED) for each in range(number)]
    with pytest.raises(SelectionError, match="1 to 1,000 jobs"):
        store.run_batch(BatchOrder(action=BatchAction.RETRY, jobs=jobs, actor="kim"))
    assert records(store) == []
