"""The deliveries of a job."""

import threading

import pytest

from service.errors import LeaseLost
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.records import Arrival
from service.store.deliveries import MAX_LAPSES
from tests.service.store.records import (
    STUDY,
    actions,
    arrive,
    claimed,
    deliver_all,
    drafted,
    image,
    objects_of,
    schedule,
)


class TestDeliveries:
    """The sending of results."""

    def test_the_last_confirmation_completes_the_job(self, store):
        """Two destinations that confirm at the same time complete the job exactly once."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        claims = [store.claim_delivery(job.id, "sender", 60, {})[0] for _ in range(2)]
        gate = threading.Barrier(2)

        def confirm(delivery):
            gate.wait()
            store.confirm_delivery(delivery.id, delivery.fence)

        threads = [threading.Thread(target=confirm, args=(each,)) for each in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.job(job.id).state is JobState.COMPLETED
        assert actions(store, job).count("confirm") == 1

    def test_the_limit_of_a_destination_holds_among_threads(self, store):
        """Of eight that claim at once no more than three send to the same destination."""
        for number in range(8):
            drafted(store, claimed(store, study=f"1.{number + 1}"), ("A",))
        gate, got = threading.Barrier(8), []

        def claim():
            gate.wait()
            got.append(store.claim_delivery(None, "sender", 60, {"A": 3}))

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        claims = [each for each in got if each]
        assert len(claims) == 3
        assert len({delivery.id for delivery, _ in claims}) == 3
        store.confirm_delivery(claims[0][0].id, claims[0][0].fence)
        assert store.claim_delivery(None, "sender", 60, {"A": 3}) is not None

    def test_a_full_destination_does_not_hold_up_another(self, store):
        """With A at its limit the next delivery is that to B."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        assert store.claim_delivery(job.id, "s", 60, {"A": 1})[0].destination == "A"
        other = claimed(store, study="1.9")
        drafted(store, other, ("A", "B"))
        names = {store.claim_delivery(None, "s", 60, {"A": 1})[0].destination for _ in range(2)}
        assert names == {"B"}
        assert store.claim_delivery(None, "s", 60, {"A": 1}) is None

    def test_a_postponed_delivery_waits_for_its_time(self, store, clock):
        """It is due after the delay; the first error stays, attempts count."""
        job = claimed(store)
        drafted(store, job)
        delivery, objects = store.claim_delivery(job.id, "s", 60, {})
        assert list(objects) == objects_of(job)
        store.postpone_delivery(delivery.id, delivery.fence, "Refused.", 2)
        assert store.claim_delivery(job.id, "s", 60, {}) is None
        clock.move(2)
        again, _ = store.claim_delivery(job.id, "s", 60, {})
        assert (again.attempts, again.first_error) == (2, "Refused.")

    def test_a_stale_sender_may_write_nothing(self, store, clock):
        """Once its lease has ended and another worker sends, its confirmation raises LeaseLost."""
        job = claimed(store)
        drafted(store, job)
        stale, _ = store.claim_delivery(job.id, "s", 60, {})
        assert store.take_back_deliveries(clock.move(60)) == 1
        fresh, _ = store.claim_delivery(job.id, "t", 60, {})
        for write in (
            lambda: store.confirm_delivery(stale.id, stale.fence),
            lambda: store.fail_delivery(stale.id, stale.fence, "No."),
            lambda: store.postpone_delivery(stale.id, stale.fence, "No.", 1),
            lambda: store.extend_delivery(stale.id, stale.fence, 60),
        ):
            with pytest.raises(LeaseLost):
                write()
        store.extend_delivery(fresh.id, fresh.fence, 60)
        assert store.confirm_delivery(fresh.id, fresh.fence) is JobState.COMPLETED

    def test_one_refusal_fails_the_job_after_the_others_are_done(self, store):
        """The job waits for the destination that may still accept it, then fails and names the other."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        first, _ = store.claim_delivery(job.id, "s", 60, {})
        second, _ = store.claim_delivery(job.id, "s", 60, {})
        assert store.fail_delivery(first.id, first.fence, "It said no.") is JobState.DRAFTED
        assert store.confirm_delivery(second.id, second.fence) is JobState.FAILED
        failed = store.job(job.id)
        assert (failed.reason_code, failed.reason) == ("NOT_DELIVERED", "A: It said no.")
        assert store.delivery_counts() == {
            ("A", DeliveryState.FAILED): 1,
            ("B", DeliveryState.CONFIRMED): 1,
        }

    def test_after_retention_a_study_that_comes_again_can_be_read_again(self, store):
        """Without its images a retry asks for them; with them it asks for a new revision."""
        job = claimed(store)
        drafted(store, job, ("A",))
        delivery, _ = store.claim_delivery(job.id, "s", 60, {})
        store.fail_delivery(delivery.id, delivery.fence, "It said no.")
        for each in store.spooled(STUDY):
            store.mark_instance_removed(each)
        store.removed(job.id, "Ended long ago.")
        with pytest.raises(IllegalTransition, match="send the study again"):
            store.retry(job.id, "admin")
        assert arrive(store) is Arrival.SAME
        with pytest.raises(IllegalTransition, match="have the study read again"):
            store.retry(job.id, "admin")
        again = schedule(store, force=True)
        assert again.supersedes == job.id
        drafted(store, store.claim_reading(again.id, "reader", 60), ("A",))
        assert deliver_all(store, again).state is JobState.COMPLETED

    def test_after_retention_a_study_that_comes_again_is_a_new_revision(self, store, clock):
        """The release makes it at once; an image that comes after its claim makes another."""
        arrive(store, 1)
        arrive(store, 2)
        job = store.claim_reading(schedule(store).id, "reader", 60)
        store.not_analysed(job.id, job.fence, "NO_FRONTAL", "No frontal image.")
        for each in store.spooled(STUDY):
            store.mark_instance_removed(each)
        store.removed(job.id, "Ended long ago.")
        assert store.spooled(STUDY) == []
        clock.move(60)
        assert arrive(store, 1, association="A2") is Arrival.SAME
        assert store.completed_by(["A2"]) == [(STUDY, "MODALITY")]
        second = schedule(store)
        assert (second.revision, second.supersedes) == (2, job.id)
        held = store.claim_reading(second.id, "reader", 60)
        assert store.study(STUDY, through=held.read_through).instances == (image(1),)
        assert arrive(store, 2, association="A3") is Arrival.SAME
        assert store.quiet_studies(clock.move(60)) == [STUDY]
        assert schedule(store).revision == 3
        assert arrive(store, 2, association="A4") is Arrival.SAME
        assert store.completed_by(["A4"]) == []
        assert len(store.instances(STUDY)) == 2

    def test_a_delivery_that_loses_its_worker_again_and_again_fails(self, store, clock):
        """After five losses in a row it is FAILED with a message; a retry sends it afresh."""
        job = drafted(store, claimed(store), ("A",))
        for _ in range(MAX_LAPSES - 1):
            store.claim_delivery(job.id, "s", 60, {})
            assert store.take_back_deliveries(clock.move(61)) == 1
            assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.PENDING]
        store.claim_delivery(job.id, "s", 60, {})
        assert store.take_back_deliveries(clock.move(61)) == 1
        assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.FAILED]
        failed = store.job(job.id)
        assert (failed.state, failed.reason_code) == (JobState.FAILED, "NOT_DELIVERED")
        assert "lost 5 times in a row" in failed.reason
        store.retry(job.id, "admin")
        store.claim_delivery(job.id, "s", 60, {})
        assert store.take_back_deliveries(clock.move(61)) == 1
        assert deliver_all(store, job).state is JobState.COMPLETED

    def test_only_lost_workers_in_a_row_count_against_a_delivery(self, store, clock):
        """A destination that does not answer begins the count anew, and a worker's stop is no loss."""
        job = drafted(store, claimed(store), ("A",))
        for number in range(3 * MAX_LAPSES):
            delivery, _ = store.claim_delivery(job.id, "s", 60, {})
            if number % MAX_LAPSES == 1:
                store.postpone_delivery(delivery.id, delivery.fence, "It is away.", 0)
            elif number % 2:
                store.take_back_deliveries(clock.now, owner="s")
            else:
                store.take_back_deliveries(clock.move(61))
        assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.PENDING]

    def test_a_canceled_job_is_sent_nowhere(self, store):
        """Its open deliveries are CANCELED, and a sender at work has lost the lease."""
        job = claimed(store)
        drafted(store, job, ("A", "B"))
        delivery, _ = store.claim_delivery(job.id, "s", 60, {})
        store.cancel(job.id, "admin")
        with pytest.raises(LeaseLost):
            store.confirm_delivery(delivery.id, delivery.fence)
        assert store.claim_delivery(None, "s", 60, {}) is None
        assert store.retry(job.id, "admin").state is JobState.DRAFTED
        assert deliver_all(store, job).state is JobState.COMPLETED
