"""Jobs that are sent once more, and studies that are read once more."""

import pytest

from service.errors import NotFound
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.store.operator.repeats import Selection
from tests.service.store.records import STUDY, arrive, claimed, deliver_all, drafted


def test_a_selection_without_a_condition_is_empty():
    """An empty filter must not select all jobs."""
    assert Selection().is_empty
    assert not Selection(study="1.2").is_empty


def test_jobs_are_selected_by_each_condition(store, clock):
    """Superseded ones are left out; the oldest comes first."""
    first = deliver_all(store, drafted(store, claimed(store), ("A",)))
    middle = clock.move(60)
    second = drafted(store, claimed(store, study="1.9"), ("B",))

    def found(**conditions):
        return [each.id for each in store.matching(Selection(**conditions), limit=9)]

    assert found() == [first.id, second.id]
    assert found(states=[JobState.COMPLETED]) == [first.id]
    assert found(since=middle) == [second.id]
    assert found(until=middle) == [first.id]
    assert found(destination="B") == [second.id]
    assert found(study=STUDY) == [first.id]
    assert found(model="other") == []
    third = drafted(store, claimed(store, 2), ("A",), source=2)
    assert found(study=STUDY) == [third.id]
    assert len(store.matching(Selection(), limit=1)) == 1


def test_results_are_due_again_at_old_and_new_destinations(store, clock):
    """The count of attempts begins anew."""
    job = deliver_all(store, drafted(store, claimed(store), ("A",)))
    clock.move(60)
    again = store.resend(job.id, "Ann", to=["A", "C"], reason="Lost there.")
    assert (again.state, again.reason) == (
        JobState.DRAFTED,
        "Sent again to A, C by Ann. Lost there.",
    )
    first, second = store.deliveries(job.id)
    assert (first.destination, first.state, first.confirmed_at) == (
        "A",
        DeliveryState.PENDING,
        None,
    )
    assert (second.destination, second.created_at) == ("C", clock())
    assert deliver_all(store, job).state is JobState.COMPLETED


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda store, job: store.removed(job.id, "Old."), "removed after their retention"),
        (lambda store, job: store.withdraw(job.id, "Ann", "x"), "withdrawn"),
        (
            lambda store, _: drafted(store, claimed(store, 2), source=2),
            "later revision",
        ),
    ],
)
def test_what_cannot_be_sent_says_why(store, prepare, problem):
    """Removed, withdrawn, or replaced."""
    job = deliver_all(store, drafted(store, claimed(store)))
    prepare(store, job)
    with pytest.raises(IllegalTransition, match=problem):
        store.resend(job.id, "Ann")


def test_a_job_without_results_or_destination_is_not_sent(store):
    """A destination can be named."""
    failed = claimed(store)
    store.fail(failed.id, failed.fence, "PIXEL_ERROR", "No.")
    with pytest.raises(IllegalTransition):
        store.resend(failed.id, "Ann", to=["A"])
    job = drafted(store, claimed(store, study="1.9"), ())
    with pytest.raises(IllegalTransition, match="no destination: name one"):
        store.resend(job.id, "Ann")
    assert store.resend(job.id, "Ann", to=["A"]).state is JobState.DRAFTED


def test_a_study_can_be_read_while_its_images_are_kept(store):
    """Neither one that never came, nor one that was removed."""
    with pytest.raises(NotFound, match="no image of the study"):
        store.check_readable(STUDY)
    arrive(store)
    store.check_readable(STUDY)
    store.mark_instance_removed(store.spooled(STUDY)[0])
    with pytest.raises(IllegalTransition, match="send the study again"):
        store.check_readable(STUDY)
