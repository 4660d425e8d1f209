"""Which Instances of an archive are known, and how the latest comparison ended."""

from datetime import timedelta

from service.records import JobNeed
from tests.service.store.records import STUDY, arrive, claimed, drafted, image, objects_of, schedule


def test_received_images_and_own_results_are_known(store):
    """Also where many are asked for at once."""
    job = claimed(store)
    drafted(store, job)
    ours = {each.sop_instance_uid for each in objects_of(job)}
    asked = {image().sop_instance_uid, *ours, *(f"9.9.{number}" for number in range(1200))}
    assert store.known_instances(asked) == {image().sop_instance_uid} | ours
    assert store.known_instances([]) == set()


def test_studies_have_a_job_wait_for_one_or_lack_one(store):
    """A study that waits for its quiet time is not overdue."""
    arrive(store, study="1.1")
    schedule(store, "1.1")
    arrive(store, study="1.2", quiet_seconds=30)
    arrive(store, study="1.3", eligible=False)
    found = store.received_studies(["1.1", "1.2", "1.3", "9.9"])
    assert set(found) == {"1.1", "1.2", "1.3"}
    assert (found["1.1"], found["1.2"]) == (JobNeed.NONE, JobNeed.WAITS)
    assert STUDY not in found


def test_the_result_of_a_comparison_is_kept(store, clock):
    """A later fault leaves it; the time up to which all is here never decreases."""
    begun = clock()
    store.note_reconciliation("PACS", position=7, missing=2, complete_at=begun)
    clock.move(60)
    store.note_reconciliation(
        "PACS", position=None, missing=0, complete_at=begun - timedelta(days=1), fault="one is left"
    )
    store.note_not_compared("PACS", "no answer")
    store.note_not_compared("B", "refused")
    other, found = store.reconciliations()
    assert (other.archive, other.compared_at, other.fault) == ("B", None, "refused")
    assert (found.position, found.missing, found.complete_at) == (7, 0, begun)
    assert (found.compared_at, found.fault) == (clock(), "no answer")
