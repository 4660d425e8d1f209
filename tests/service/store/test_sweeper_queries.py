"""Due jobs, lost claims, old studies."""

from datetime import timedelta

from service.jobs import JobState
from service.store.sweeper_queries import SKEW
from tests.service.store.records import (
    STUDY,
    actions,
    arrive,
    claimed,
    deliver_all,
    drafted,
    schedule,
)

HOUR = timedelta(hours=1)


def test_a_lease_that_ended_has_lapsed(store, clock):
    """Not before; the jobs of one owner are found by its name."""
    job = claimed(store)
    assert store.lapsed(clock()) == []
    assert [each.id for each in store.held_by("reader")] == [job.id]
    assert store.held_by("other") == []
    assert [each.id for each in store.lapsed(clock.move(60))] == [job.id]


def test_the_urgent_job_of_a_model_is_the_oldest_that_is_due(store, clock):
    """Others do not count."""
    for number, urgent in ((1, False), (2, True), (3, True)):
        arrive(store, study=f"1.{number}", urgent=urgent)
        schedule(store, f"1.{number}")
        clock.move(1)
    second = store.jobs(study="1.2")[0]
    assert store.next_urgent("tiny") == second.id
    assert store.next_urgent("other") is None


def test_due_readings_are_urgent_first_and_not_published_lately(store, clock):
    """A published job is due again after a while."""
    for number, urgent in ((1, False), (2, True)):
        arrive(store, study=f"1.{number}", urgent=urgent)
        schedule(store, f"1.{number}")
    clock.move(3600)
    due = store.due_readings(clock(), clock() - HOUR)
    assert [each.study_instance_uid for each in due] == ["1.2", "1.1"]
    store.mark_published([each.id for each in due], [], clock())
    assert store.due_readings(clock(), clock() - HOUR) == []
    clock.move(3600)
    assert len(store.due_readings(clock(), clock() - HOUR)) == 2
    assert store.waiting_models(clock()) == ["tiny"]
    assert store.senders(["1.1", "9.9"]) == {"1.1": "MODALITY"}


def test_due_deliveries_name_their_job(store, clock):
    """With the time of the latest message; one in progress is not due."""
    job = drafted(store, claimed(store), ("A", "B"))
    drafted_at = clock()
    clock.move(3600)
    due = store.due_deliveries(clock(), drafted_at)
    assert [found.id for _, found, _ in due] == [job.id] * 2
    store.mark_published([], [due[0][0]], clock())
    ((number, _, published),) = store.due_deliveries(clock(), drafted_at)
    assert (number, published) == (due[1][0], drafted_at)
    store.claim_delivery(job.id, "sender", 60, {})
    store.claim_delivery(job.id, "sender", 60, {})
    assert store.due_deliveries(clock(), clock()) == []


def test_times_of_a_clock_that_was_ahead_are_corrected(store, clock):
    """Quiet time, lease and message; a small difference of clocks is left alone."""
    clock.move(7200)
    arrive(store, study="1.1", quiet_seconds=2)
    job = claimed(store)
    clock.move(-7200)
    limits = {"lease": timedelta(minutes=2), "wait": timedelta(minutes=5)}
    assert store.correct_future_times(clock(), **limits) == 2
    assert store.quiet_studies(clock()) == ["1.1"]
    assert store.job(job.id).lease_until == clock() + limits["lease"]
    clock.move(SKEW.total_seconds() / 2)
    arrive(store, study="1.2", quiet_seconds=2)
    clock.move(-SKEW.total_seconds() / 2)
    assert store.correct_future_times(clock(), **limits) == 0


def test_a_study_is_removable_when_all_its_jobs_ended_before(store, clock):
    """Not while a delivery is open, and not if it is excluded."""
    job = drafted(store, claimed(store))
    later = clock() + HOUR
    assert store.removable(later) == []
    deliver_all(store, job)
    assert store.removable(clock() - HOUR) == []
    assert store.removable(later) == [STUDY]
    assert store.removable(later, excluding=[STUDY]) == []
    assert store.is_removable(STUDY, later, confirmed=True)
    arrive(store, sha="b")
    assert not store.is_removable(STUDY, later, confirmed=True)


def test_a_removal_is_noted_once(store):
    """One line in the history; the job has the time."""
    job = deliver_all(store, drafted(store, claimed(store)))
    assert not store.removed(job.id, "Old.")
    assert not store.removed(job.id, "Old.")
    assert actions(store, job).count("remove_files") == 1
    assert store.job(job.id).removed_at == store.now()


def test_jobs_with_void_claims_are_listed_with_what_they_keep(store, clock):
    """A failed claim leaves files to remove; the claim that drafted keeps its folder."""
    held = claimed(store)
    store.hand_back(held.id, held.fence, "TRANSIENT", "Again.")
    again = store.claim_reading(held.id, "reader", 60)
    job = drafted(store, again)
    failed = claimed(store, study="1.9")
    store.fail(failed.id, failed.fence, "PIXEL_ERROR", "No.")
    first, second = store.past_claims(None, clock(), limit=9)
    found = {each.job_id: each for each in (first, second)}
    assert found[job.id].fence == 2
    assert found[failed.id].kept == frozenset()
    assert store.job(failed.id).state is JobState.FAILED
    assert store.past_claims(first, clock(), limit=9) == [second]
