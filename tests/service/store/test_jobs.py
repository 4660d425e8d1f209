"""The life of a job: claims, leases, drafts, cancels and retries."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from service.errors import LeaseLost
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.store import Store
from tests.databases import make_database
from tests.service.store.records import (
    actions,
    arrive,
    claimed,
    draft_of,
    drafted,
    objects_of,
    schedule,
)


def test_a_stale_holder_may_write_nothing(store, clock):
    """Once its job was taken back and claimed by another, every write of the first raises LeaseLost."""
    first = claimed(store)
    clock.move(61)
    store.hand_back(first.id, first.fence, "LEASE_EXPIRED", "Lost.", lapsed_at=clock())
    second = store.claim_reading(first.id, "other", 60)
    before = store.events(first.id)
    writes = (
        lambda: store.extend(first.id, first.fence, 60),
        lambda: drafted(store, first),
        lambda: store.not_analysed(first.id, first.fence, "X", "x"),
        lambda: store.cancel_unchanged(first.id, first.fence, "X", "x"),
        lambda: store.fail(first.id, first.fence, "X", "x"),
        lambda: store.hand_back(first.id, first.fence, "X", "x"),
        lambda: store.give_up(first.id, first.fence, "X", "x", clock.now),
    )
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    assert store.events(first.id) == before
    assert store.objects(first.id) == []
    assert store.job(first.id) == second


def test_a_live_lease_is_not_taken_back(store, clock):
    """A holder that extended in time keeps its job although the sweeper had it in its list."""
    job = claimed(store)
    clock.move(61)
    (seen,) = store.lapsed(clock())
    store.extend(job.id, job.fence, 60)
    with pytest.raises(LeaseLost):
        store.hand_back(seen.id, seen.fence, "LEASE_EXPIRED", "Lost.", lapsed_at=clock())
    assert store.lapsed(clock()) == []


def test_eight_threads_claim_the_same_job_and_one_gets_it(store):
    """Of eight that claim at once exactly one holds the job, and it was claimed once."""
    arrive(store)
    job = schedule(store)
    gate, got = threading.Barrier(8), []

    def claim(number):
        gate.wait()
        got.append(store.claim_reading(job.id, f"reader {number}", 60))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (holder,) = [each for each in got if each is not None]
    assert (holder.fence, holder.attempts) == (1, 1)
    assert actions(store, job).count("claim") == 1


class TestLife:
    """From the claim to the end."""

    def test_the_draft_comes_back_as_it_went_in(self, store):
        """DRAFTED holds the draft, its objects in order, and a PENDING delivery for each destination."""
        job = claimed(store)
        after = drafted(store, job, ("A", "B"))
        assert after.state is JobState.DRAFTED
        assert store.job(job.id).draft == draft_of(job)
        assert store.objects(job.id) == objects_of(job)
        states = {each.destination: each.state for each in store.deliveries(job.id)}
        assert states == {"A": DeliveryState.PENDING, "B": DeliveryState.PENDING}

    def test_without_destination_a_draft_is_the_end(self, store):
        """The job is COMPLETED at once and states why nothing was sent."""
        job = claimed(store)
        after = drafted(store, job, ())
        assert (after.state, after.reason_code) == (JobState.COMPLETED, "NO_DESTINATION")
        assert actions(store, job) == ["schedule", "claim", "draft", "confirm"]

    def test_an_error_that_may_pass_waits_and_keeps_the_first(self, store, clock):
        """The job is due again after the delay; attempts, first and last error stay on the row."""
        job = claimed(store)
        store.hand_back(job.id, job.fence, "OOM", "First.", 4)
        assert store.claim_reading(job.id, "reader", 60) is None
        assert store.due_readings(clock(), clock()) == []
        clock.move(4)
        assert [each.id for each in store.due_readings(clock(), clock())] == [job.id]
        again = store.claim_reading(job.id, "reader", 60)
        ended = store.fail(job.id, again.fence, "OOM", "Second.")
        assert (ended.attempts, ended.first_error, ended.last_error) == (2, "First.", "Second.")

    def test_a_worker_that_stops_costs_no_attempt(self, store):
        """Handing back uncounted leaves attempts and errors alone."""
        job = claimed(store)
        after = store.hand_back(job.id, job.fence, "WORKER_STOPPED", "Stopped.", counted=False)
        assert (after.state, after.attempts, after.first_error) == (JobState.SCHEDULED, 0, "")

    def test_a_cancel_stops_the_holder(self, store):
        """A person cancels a job that is being read: its holder has lost the lease."""
        job = claimed(store)
        assert store.cancel(job.id, "admin").state is JobState.CANCELED
        with pytest.raises(LeaseLost):
            store.extend(job.id, job.fence, 60)
        with pytest.raises(IllegalTransition):
            store.cancel(job.id, "admin")

    def test_a_retry_reads_again_or_sends_again(self, store):
        """Without a draft the job is SCHEDULED afresh; with one, only what failed is sent again."""
        job = claimed(store)
        store.fail(job.id, job.fence, "X", "It failed.")
        again = store.retry(job.id, "admin")
        assert (again.state, again.attempts, again.first_error) == (JobState.SCHEDULED, 0, "")
        held = store.claim_reading(job.id, "reader", 60)
        drafted(store, held, ("A", "B"))
        for verdict in (store.confirm_delivery, lambda *a: store.fail_delivery(*a, "No.")):
            delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
            verdict(delivery.id, delivery.fence)
        assert store.job(job.id).state is JobState.FAILED
        assert store.retry(job.id, "admin").state is JobState.DRAFTED
        delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
        assert delivery.destination == "B"
        assert store.confirm_delivery(delivery.id, delivery.fence) is JobState.COMPLETED
        with pytest.raises(IllegalTransition):
            store.retry(job.id, "admin")

    def test_an_earlier_revision_is_not_sent_after_a_later_one(self, store):
        """Refused, as its draft would look like the newest; allowed once the later one is withdrawn."""
        first = claimed(store, 1)
        drafted(store, first, ("A",))
        delivery, _ = store.claim_delivery(first.id, "sender", 60, {})
        store.fail_delivery(delivery.id, delivery.fence, "No.")
        second = claimed(store, 2)
        drafted(store, second, ("A",), source=2)
        with pytest.raises(IllegalTransition, match="later revision"):
            store.retry(first.id, "admin")
        store.withdraw(second.id, "admin", "Withdrawn.")
        assert store.retry(first.id, "admin").state is JobState.DRAFTED

    def test_a_claim_that_meets_a_cancel_finds_nothing(self, postgres_url):
        """The worker's thread continues: a cancel during its commit is no error of the claim."""
        make_database(postgres_url)
        store = Store(postgres_url)
        arrive(store)
        job = schedule(store)
        address = postgres_url.replace("+psycopg", "")
        with ThreadPoolExecutor(1) as pool:
            with psycopg.connect(address) as cancel:
                cancel.execute("UPDATE jobs SET state = 'CANCELED' WHERE id = %s", [job.id])
                claim = pool.submit(store.claim_reading, job.id, "reader", 60)
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while not cancel.execute(waiting).fetchone()[0]:
                    time.sleep(0.01)
            assert claim.result(timeout=30) is None
        store.close()

    def test_urgent_is_due_first(self, store, clock):
        """A job made urgent is published again at once, before older ones."""
        jobs = []
        for number in range(3):
            arrive(store, study=f"1.{number + 1}")
            jobs.append(schedule(store, f"1.{number + 1}"))
            clock.move(1)
        store.make_urgent(jobs[2].id, "admin")
        due = store.due_readings(clock(), clock())
        assert [job.id for job in due] == [jobs[2].id, jobs[0].id, jobs[1].id]
        assert due[0].published_at is None

    def test_an_urgent_image_makes_the_job_urgent(self, store):
        """One image of an urgent caller is enough."""
        arrive(store, 1)
        arrive(store, 2, urgent=True)
        assert schedule(store).urgent


def test_urgent_jobs_of_another_model_do_not_hide_ones_own(store):
    """The next job of this model is found behind any number of older jobs of another model."""
    for number in range(70):
        study = f"1.9.{number}"
        arrive(store, study=study)
        store.schedule(study, model="other", version="1", actor="t", reason="", urgent=True)
    assert store.next_urgent("tiny") is None
    arrive(store, study="1.8.1")
    routine = store.schedule("1.8.1", model="tiny", version="1", actor="t", reason="")
    assert store.next_urgent("tiny") is None
    store.make_urgent(routine.id, "Ann")
    assert store.next_urgent("tiny") == routine.id
