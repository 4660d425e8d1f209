"""Arriving images, and the moment at which their study is complete."""

import threading

import pytest

from service.errors import NotFound
from service.records import Arrival, JobRequest
from tests.service.store.records import STUDY, arrive, image, schedule


class TestArrival:
    """The rows of `add_instance`."""

    def test_an_image_is_kept_with_its_time(self, store, clock):
        """A new image has its sender and the time by the clock of the store, to the microsecond."""
        assert arrive(store) is Arrival.NEW
        (kept,) = store.instances(STUDY)
        assert kept.received_at == clock()
        assert kept.calling_ae == "MODALITY"
        assert store.study(STUDY).instances == (image(),)

    def test_the_same_image_again_changes_nothing(self, store, clock):
        """The same bytes again are SAME, keep their first time, and do not prolong the quiet time."""
        arrive(store, quiet_seconds=2)
        clock.move(1.5)
        assert arrive(store, association="A2", quiet_seconds=2) is Arrival.SAME
        assert len(store.instances(STUDY)) == 1
        assert store.quiet_studies(clock.move(0.5)) == [STUDY]

    def test_the_same_uid_with_other_bytes_is_kept_apart(self, store):
        """Other bytes under a known UID are a CONFLICT, reported once, and never read."""
        arrive(store)
        assert arrive(store, sha="b") is Arrival.CONFLICT
        assert arrive(store, sha="b") is Arrival.CONFLICT
        assert [kept.conflict for kept in store.instances(STUDY)] == [False, True]
        assert store.study(STUDY).instances == (image(),)
        (incident,) = store.incidents()
        assert (incident.kind, incident.subject) == ("conflict", image().sop_instance_uid)

    def test_many_senders_of_the_same_uid_leave_one_image(self, store):
        """Eight threads with different bytes under one UID: one image, seven conflicts."""
        answers = []

        def send(sha):
            answers.append(arrive(store, sha=sha))

        threads = [threading.Thread(target=send, args=(sha,)) for sha in "abcdef01"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [Arrival.CONFLICT] * 7 + [Arrival.NEW]
        assert len(store.study(STUDY).instances) == 1

    def test_a_study_that_was_not_sent_is_not_found(self, store):
        """Asking for an unknown study is NotFound."""
        with pytest.raises(NotFound):
            store.study("9.9")


class TestCompletion:
    """When a study counts as complete."""

    def test_a_release_completes_the_studies_of_eligible_images(self, store):
        """Only studies to which the released association brought an image that may be read."""
        arrive(store, 1, study="1.1")
        arrive(store, 1, study="1.2", eligible=False)
        arrive(store, 1, study="1.3", association="A2")
        assert store.completed_by(["A1"]) == [("1.1", "MODALITY")]

    def test_several_releases_complete_each_study_once(self, store):
        """Two images of one study on two associations, and another study."""
        arrive(store, 1, study="1.1")
        arrive(store, 2, study="1.1", association="A2")
        arrive(store, 1, study="1.2", association="A2")
        arrive(store, 1, study="1.3", association="A3")
        complete = store.completed_by(["A1", "A2"])
        assert sorted(complete) == [("1.1", "MODALITY"), ("1.2", "MODALITY")]

    def test_many_studies_become_jobs_in_one_transaction(self, store):
        """Each by its own rule: a new one, one that waits already, one that none can read again."""
        for study in ("1.1", "1.2", "1.3"):
            arrive(store, study=study)
        waits = schedule(store, "1.2")
        read = store.claim_reading(schedule(store, "1.3").id, "reader", 60)
        arrive(store, 2, study="1.3", eligible=False)
        wanted = [
            JobRequest(study_instance_uid=study, model="tiny", version="1")
            for study in ("1.3", "1.2", "1.1")
        ]
        (job,) = store.schedule_all(wanted, actor="intake", reason="Released.")
        assert [job] == store.jobs(study="1.1")
        assert (job.study_instance_uid, job.calling_ae) == ("1.1", "MODALITY")
        assert [event.action for event in store.events(job.id)] == ["schedule"]
        assert [each.id for each in store.jobs(study="1.2")] == [waits.id]
        assert "later_films" in [event.action for event in store.events(read.id)]
        assert store.completed_by(["A1"]) == []

    def test_one_unknown_study_makes_no_job_of_the_others(self, store):
        """All or none: a study without its job stays due for the sweeper."""
        arrive(store, study="1.1")
        wanted = [
            JobRequest(study_instance_uid=study, model="tiny", version="1")
            for study in ("1.1", "9.9")
        ]
        with pytest.raises(NotFound):
            store.schedule_all(wanted, actor="intake", reason="Released.")
        assert store.jobs() == []
        assert store.completed_by(["A1"]) == [("1.1", "MODALITY")]

    def test_a_broken_association_leaves_it_to_the_quiet_time(self, store, clock):
        """Without a release nothing is complete until the quiet time of its calling AE has passed."""
        arrive(store, quiet_seconds=5)
        assert store.quiet_studies(clock.move(4.9)) == []
        assert store.quiet_studies(clock.move(0.2)) == [STUDY]

    def test_a_scheduled_study_is_not_quiet_any_more(self, store, clock):
        """Once there is a job, neither a release nor the quiet time makes another."""
        arrive(store)
        assert schedule(store) is not None
        assert store.quiet_studies(clock.move(60)) == []
        assert store.completed_by(["A1"]) == []
