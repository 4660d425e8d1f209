"""The revisions that later images make."""

import threading
from datetime import timedelta

from dicom.content.report import Predecessor
from service.jobs import JobState
from tests.service.store.records import (
    STUDY,
    actions,
    arrive,
    claimed,
    drafted,
    objects_of,
    schedule,
)


class TestLaterImages:
    """The rule for images that come after the first job."""

    def test_before_the_claim_nothing_is_added(self, store):
        """An image that comes while the job waits is read by that job."""
        arrive(store, 1)
        job = schedule(store)
        arrive(store, 2)
        assert schedule(store) is None
        held = store.claim_reading(job.id, "reader", 60)
        read = store.study(STUDY, through=held.read_through)
        assert [each.sop_instance_uid for each in read.instances] == ["1.2.3.1.1", "1.2.3.1.2"]

    def test_after_the_claim_there_is_a_new_revision_that_waits(self, store):
        """An image that arrives during the reading makes revision 2, claimable once 1 is read."""
        first = claimed(store, 1)
        arrive(store, 2)
        second = schedule(store)
        assert (second.revision, second.supersedes) == (2, first.id)
        assert store.claim_reading(second.id, "reader", 60) is None
        assert len(store.study(STUDY, through=first.read_through).instances) == 1
        drafted(store, first)
        held = store.claim_reading(second.id, "reader", 60)
        assert len(store.study(STUDY, through=held.read_through).instances) == 2

    def test_the_waiting_revision_is_published_when_the_first_is_read(self, store, clock):
        """Leaving the reading makes the next revision due for a message at once."""
        first = claimed(store, 1)
        arrive(store, 2)
        second = schedule(store)
        ago = clock() - timedelta(seconds=15)
        assert store.due_readings(clock(), ago) == []
        drafted(store, first)
        assert [job.id for job in store.due_readings(clock(), ago)] == [second.id]

    def test_a_retry_of_a_superseded_attempt_reads_its_own_images(self, store):
        """An attempt that is repeated after a later revision was made reads what it read before."""
        first = claimed(store, 1)
        arrive(store, 2)
        schedule(store)
        store.hand_back(first.id, first.fence, "X", "It failed.")
        again = store.claim_reading(first.id, "reader", 60)
        assert again.read_through == first.read_through
        assert again.produced_at == first.produced_at

    def test_a_new_draft_supersedes_the_earlier_one(self, store):
        """Each names the other, and the earlier draft report can be named as predecessor."""
        first = claimed(store, 1)
        drafted(store, first)
        second = claimed(store, 2)
        previous = store.previous_draft(second.id)
        assert previous.id == first.id
        report = objects_of(first)[0]
        assert store.predecessor(previous) == Predecessor(
            sop_instance_uid=report.sop_instance_uid,
            sop_class_uid=report.sop_class_uid,
            series_instance_uid=report.series_instance_uid,
        )
        after = drafted(store, second, source=2)
        assert after.supersedes == first.id
        assert store.job(first.id).superseded_by == second.id

    def test_a_reading_without_change_lets_the_earlier_draft_stand(self, store):
        """CANCELED with NO_CHANGE does not supersede, and the third revision follows the first."""
        first = claimed(store, 1)
        drafted(store, first)
        second = claimed(store, 2)
        ended = store.cancel_unchanged(second.id, second.fence, "NO_CHANGE", "Nothing changes.")
        assert (ended.state, ended.reason_code) == (JobState.CANCELED, "NO_CHANGE")
        assert store.job(first.id).superseded_by is None
        third = claimed(store, 3)
        assert third.revision == 3
        assert store.previous_draft(third.id).id == first.id

    def test_later_images_that_cannot_be_read_make_no_job(self, store):
        """They get a line in the history of the job in force."""
        first = claimed(store, 1)
        arrive(store, 2, eligible=False)
        assert schedule(store) is None
        assert actions(store, first)[-1] == "later_films"

    def test_a_job_without_eligible_image_is_read_again_with_more(self, store):
        """NOT_ANALYSED is no draft: any later image is read."""
        first = claimed(store, 1, eligible=False)
        store.not_analysed(first.id, first.fence, "NOT_FRONTAL", "Only a lateral image.")
        arrive(store, 2, eligible=False)
        assert schedule(store).revision == 2

    def test_nothing_new_makes_no_job_unless_forced(self, store):
        """The same images are not read twice, except at a person's request."""
        first = claimed(store, 1)
        drafted(store, first)
        assert schedule(store) is None
        again = schedule(store, force=True)
        assert (again.revision, again.forced) == (2, True)

    def test_a_job_canceled_before_its_claim_stays_canceled(self, store):
        """Its images are not scheduled again by the next release or quiet time."""
        arrive(store)
        job = schedule(store)
        store.cancel(job.id, "admin")
        assert schedule(store) is None

    def test_images_and_claims_at_once_leave_no_image_unread(self, store):
        """For any interleaving, each image is covered by a claimed job or by one that waits."""
        arrive(store, 1)
        first = schedule(store)
        claimer = threading.Thread(target=store.claim_reading, args=(first.id, "reader", 60))
        claimer.start()
        for number in range(2, 12):
            arrive(store, number)
            schedule(store)
        claimer.join()
        waiting = store.jobs((JobState.SCHEDULED,))
        held = store.job(first.id)
        newest = store.study(STUDY).instances[-1]
        covered = store.study(STUDY, through=held.read_through).instances
        assert waiting or newest in covered
