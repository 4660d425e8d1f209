"""Drafting: what a later image changes, and how a reading ends early."""

import hashlib
import threading
import time

import pytest

from service.errors import (
    ReaderStopped,
    ReadingCanceled,
    TransientReadingError,
)
from service.jobs import JobState
from tests.workers.reading_bench import STUDY, Bench
from workers.app import worker_app
from workers.tasks import register_read


@pytest.fixture
def bench(store, tmp_path, drafts):
    """A bench on each kind of database."""
    return Bench(store, tmp_path, drafts)


def test_a_later_image_gives_a_draft_that_names_the_earlier(bench, store):
    """The second reading gets the first draft report as predecessor."""
    first = bench.arrive(1)
    bench.task(first.id)
    second = bench.arrive(2)
    bench.reader.script = [1]
    bench.task(second.id)
    (report,) = store.objects(first.id)
    _, revision, predecessor, _ = bench.reader.asked[1]
    assert (revision, predecessor.sop_instance_uid) == (2, report.sop_instance_uid)
    assert store.job(second.id).supersedes == first.id


def test_a_lesser_image_that_comes_again_leaves_the_draft_of_a_better_one(bench, store):
    """Retention removed both; the one that was not read is sent again: nothing is superseded."""
    bench.task(bench.arrive(1).id)
    second = bench.arrive(2)
    bench.reader.script = [1]
    bench.task(second.id)
    for image in store.spooled(STUDY):
        store.mark_instance_removed(image)
    third = bench.arrive(1)
    bench.task(third.id)
    after = store.job(third.id)
    assert (after.state, after.reason_code) == (JobState.CANCELED, "NO_CHANGE")
    assert store.job(second.id).superseded_by is None


def test_a_new_image_is_read_after_the_earlier_ones_were_removed(bench, store):
    """An image that no draft considered is read, although that of the earlier draft was removed."""
    bench.task(bench.arrive(1).id)
    for image in store.spooled(STUDY):
        store.mark_instance_removed(image)
    second = bench.arrive(2)
    bench.task(second.id)
    assert store.job(second.id).state is JobState.DRAFTED


def test_a_later_image_that_changes_nothing_leaves_the_earlier_draft(bench, store):
    """The same image is chosen: CANCELED with NO_CHANGE, nothing superseded, nothing to deliver."""
    first = bench.arrive(1)
    bench.task(first.id)
    second = bench.arrive(2)
    bench.task(second.id)
    after = store.job(second.id)
    assert (after.state, after.reason_code) == (JobState.CANCELED, "NO_CHANGE")
    assert store.job(first.id).superseded_by is None
    assert len(bench.published) == 1


@pytest.mark.parametrize(
    ("wanted", "state"), [(("A",), JobState.CANCELED), (("A", "clinic"), JobState.DRAFTED)]
)
def test_an_earlier_draft_stands_only_where_it_went(bench, store, wanted, state):
    """Another calling AE sends the study: a destination that has no draft of it gets one."""
    first = bench.arrive(1, destinations=("A", "B"))
    bench.task(first.id)
    second = bench.arrive(2, destinations=wanted)
    bench.task(second.id)
    assert store.job(second.id).state is state


def test_a_withdrawn_draft_does_not_stand(bench, store):
    """After a recall a later image has the study read again, although the same image is chosen."""
    first = bench.arrive(1)
    bench.task(first.id)
    store.withdraw(first.id, "Ann", "Withdrawn: It errs.")
    second = bench.arrive(2)
    bench.task(second.id)
    assert store.job(second.id).state is JobState.DRAFTED


def test_a_reading_that_a_person_asked_for_is_kept(bench, store):
    """Forced: a new draft although the same image was read."""
    first = bench.arrive(1)
    bench.task(first.id)
    again = store.schedule(
        STUDY, model="demo", version="1", actor="admin", reason="Asked.", force=True
    )
    bench.task(again.id)
    assert store.job(again.id).state is JobState.DRAFTED


def test_a_stopped_worker_hands_back_without_counting(bench, store):
    """The process must end: the job is SCHEDULED again and has lost no attempt."""

    def stop(canceled):
        bench.abandon.set()
        assert canceled()
        raise ReadingCanceled("stopped")

    bench.reader.script = [stop]
    job = bench.arrive()
    bench.task(job.id)
    back = store.job(job.id)
    assert (back.state, back.attempts, back.reason_code) == (
        JobState.SCHEDULED,
        0,
        "WORKER_STOPPED",
    )


def test_a_worker_that_was_thought_dead_writes_nothing(bench, store, clock):
    """Its job was taken back and drafted by another while it was reading: the other's result stands."""
    other = bench.worker("other")

    def lose(_canceled):
        clock.move(61)
        (job,) = store.lapsed(clock())
        store.hand_back(job.id, job.fence, "LEASE_EXPIRED", "Lost.", lapsed_at=clock())
        other(job.id)

    bench.reader.script = [lose]
    job = bench.arrive()
    bench.task(job.id)
    after = store.job(job.id)
    assert (after.state, after.fence) == (JobState.DRAFTED, 2)
    (item,) = store.objects(job.id)
    assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.sha256
    assert [event.actor for event in store.events(job.id) if event.action == "draft"] == ["other"]


def test_a_cancel_reaches_the_reader(store, tmp_path, drafts):
    """Within a third of the lease the reader gets the cancellation."""
    bench = Bench(store, tmp_path, drafts, reading={"lease_seconds": 0.6})

    def wait(canceled):
        store.cancel(job.id, "admin")
        deadline = time.monotonic() + 5
        while not canceled():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise ReadingCanceled("canceled by a person")

    bench.reader.script = [wait]
    job = bench.arrive()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.CANCELED


def test_a_cancel_reaches_the_reader_soon(store, tmp_path, drafts, eventually):
    """Though the lease has a minute to go, the watch sees it within a second."""
    bench = Bench(store, tmp_path, drafts)
    drafting = bench.drafting("reader")

    def wait(canceled):
        store.cancel(job.id, "admin")
        eventually(canceled, seconds=10, what="the cancel")
        raise ReadingCanceled("canceled by a person")

    bench.reader.script = [wait]
    job = bench.arrive()
    with drafting.watched():
        register_read(worker_app(bench.settings), drafting)(job.id)
    assert store.job(job.id).state is JobState.CANCELED


def test_a_reading_that_hangs_goes_back_and_its_worker_is_replaced(
    store, tmp_path, drafts, eventually
):
    """Counted as an attempt, with an incident; other readings are not affected."""
    bench = Bench(store, tmp_path, drafts, reading={"hang_seconds": 1, "decode_seconds": 0.9})
    drafting, release = bench.drafting("reader"), threading.Event()

    def hang(_canceled):
        release.wait(30)

    def go_on(canceled):
        while not release.wait(0.05):
            assert not canceled()

    bench.reader.script = [go_on, hang]
    first, second = bench.arrive(), bench.arrive(study="1.2.4")
    task = register_read(worker_app(bench.settings), drafting)
    threads = [threading.Thread(target=task, args=[job.id]) for job in (first, second)]
    with drafting.watched():
        threads[0].start()
        eventually(lambda: len(bench.reader.asked) == 1, seconds=10, what="the first")
        threads[1].start()
        eventually(lambda: bench.replaced, seconds=20, what="the replacement")
    back = store.job(second.id)
    assert (back.state, back.reason_code, back.attempts) == (
        JobState.SCHEDULED,
        "READING_HANGS",
        1,
    )
    assert "made no progress for 1 s" in back.first_error
    (incident,) = [each for each in store.incidents() if each.kind == "reading_hangs"]
    assert incident.subject == second.id
    assert store.job(first.id).state is JobState.IN_PROGRESS
    release.set()
    for thread in threads:
        thread.join()
    assert store.job(first.id).state is JobState.DRAFTED
    assert store.job(second.id).state is JobState.SCHEDULED


def test_a_reader_that_has_stopped_is_replaced(bench, store):
    """The job goes back, and the worker stops using a failed model."""
    bench.reader.script = [ReaderStopped("The engine has ended.")]
    job = bench.arrive()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.SCHEDULED
    assert bench.replaced == ["reader"]


def test_the_last_try_is_made_alone(bench, store, clock):
    """A job that may crash its worker has its last attempt alone."""
    task, together, release = bench.task, [], threading.Event()

    def stay(_canceled):
        together.append("first")
        assert release.wait(30)
        together.append("first ends")

    bench.reader.script = [TransientReadingError("Once."), stay, lambda _: together.append("last")]
    tried, other = bench.arrive(), bench.arrive(study="1.2.4")
    task(tried.id)
    clock.move(60)
    first = threading.Thread(target=task, args=[other.id])
    first.start()
    while not together:
        time.sleep(0.01)
    last = threading.Thread(target=task, args=[tried.id])
    last.start()
    time.sleep(0.2)
    assert together == ["first"]
    release.set()
    first.join()
    last.join()
    assert together == ["first", "first ends", "last"]
    assert store.job(tried.id).state is JobState.DRAFTED
