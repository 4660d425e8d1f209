"""The stages of a job at each point of its path, and its attempts."""

import pytest

from service.jobs import JobState
from service.monitoring.job_stages import Stage, StageState, attempts, stages
from tests.service.store.records import arrive, claimed, draft_of, objects_of, schedule


def lines_of(store, job):
    """Return the stages of a job as state by stage."""
    job = store.job(job.id)
    return stages(
        job,
        images=store.instances(job.study_instance_uid),
        events=store.events(job.id),
        deliveries=store.deliveries(job.id),
    )


def states(store, job):
    """Return the states of the stages, in order."""
    return [each.state.value for each in lines_of(store, job)]


def test_the_stages_follow_the_job_from_arrival_to_read_back(store, clock):
    """Each with the time at which it ended."""
    arrive(store)
    clock.move(5)
    job = schedule(store)
    assert states(store, job) == ["done", "done", "waiting", "waiting", "waiting", "waiting"]
    clock.move(5)
    held = store.claim_reading(job.id, "reader", 60)
    assert states(store, job) == ["done", "done", "now", "waiting", "waiting", "waiting"]
    read_at = clock.move(5)
    store.draft(job.id, held.fence, draft_of(held), objects_of(held), ("A", "B"))
    assert states(store, job) == ["done", "done", "done", "done", "waiting", "waiting"]
    first, _ = store.claim_delivery(job.id, "sender", 60, {})
    assert states(store, job)[4:] == ["now", "waiting"]
    store.confirm_delivery(first.id, first.fence)
    second, _ = store.claim_delivery(job.id, "sender", 60, {})
    sent_at = clock.move(5)
    store.confirm_delivery(second.id, second.fence, read_back=False)
    lines = {each.stage: each for each in lines_of(store, job)}
    assert lines[Stage.DRAFTED].at == read_at
    assert (lines[Stage.SENT].state, lines[Stage.SENT].at) == (StageState.DONE, sent_at)
    assert lines[Stage.SENT].note == "2 of 2"
    assert lines[Stage.READ_BACK].state is StageState.OMITTED
    assert lines[Stage.READ_BACK].note == "1 of 2; others acknowledged only"


def test_a_refused_delivery_fails_the_last_stages(store):
    """The draft itself is kept."""
    job = claimed(store)
    store.draft(job.id, job.fence, draft_of(job), objects_of(job), ("A",))
    found, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.fail_delivery(found.id, found.fence, "refused")
    assert states(store, job) == ["done", "done", "done", "done", "failed", "failed"]


@pytest.mark.parametrize("ended", [JobState.NOT_ANALYSED, JobState.FAILED])
def test_without_a_draft_the_later_stages_are_omitted(store, ended):
    """A study that is not analyzed was examined; a failed reading was not completed."""
    job = claimed(store)
    if ended is JobState.NOT_ANALYSED:
        store.not_analysed(job.id, job.fence, "NOT_FRONTAL", "No frontal image.")
    else:
        store.fail(job.id, job.fence, "PIXEL_ERROR", "It cannot be decoded.")
    read = "done" if ended is JobState.NOT_ANALYSED else "failed"
    assert states(store, job) == ["done", "done", read, "omitted", "omitted", "omitted"]


def test_each_attempt_has_its_end_and_cause(store, clock):
    """One that was handed back, then the current one."""
    job = claimed(store)
    clock.move(3)
    store.hand_back(job.id, job.fence, "CANNOT_SEND_NOW", "The disk is full.")
    began = clock.move(7)
    store.claim_reading(job.id, "other", 60)
    first, second = attempts(store.events(job.id))
    assert (first.worker, first.outcome, first.cause) == (
        "reader",
        "hand_back",
        "The disk is full.",
    )
    assert (first.ended_at - first.began_at).total_seconds() == 3
    assert (second.number, second.worker, second.began_at) == (2, "other", began)
    assert second.ended_at is None
