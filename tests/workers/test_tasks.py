import contextlib
import dataclasses
import hashlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from structlog.testing import capture_logs

from dicom.content.report import NotRead
from dicom.errors import PixelError
from dicom.results.outputs import Output
from service.errors import (
    BrokerUnavailable,
    PermanentReadingError,
    ReaderStopped,
    ReadingCanceled,
    TransientReadingError,
)
from service.jobs import JobState
from service.settings.config import load_settings
from service.store import Store
from workers.app import worker_app
from workers.reading.drafting import Drafting
from workers.reading.outcomes import Drafted, NotAnalysed, Unchanged
from workers.tasks import register_read

STUDY = "1.2.3"


class ScriptedReader:
    """Reads the first image, or does what the script says; remembers what it was asked."""

    def __init__(self, drafts):
        self.drafts = drafts
        self.script = []
        self.asked = []
        self.urgent = []

    def read(
        self, study, *, revision, predecessor, produced_at, already_read, urgent, rules, canceled
    ):
        """Return what the next line of the script says."""
        self.asked.append((study, revision, predecessor, produced_at))
        self.urgent.append(urgent)
        self.rules = rules
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, NotAnalysed):
            return step
        if callable(step):
            step(canceled)
        image = study.instances[step if isinstance(step, int) else 0]
        if image.sop_instance_uid in already_read:
            return Unchanged(code="NO_CHANGE", sentence="The same image.", not_read=())
        others = [each for each in study.instances if each is not image]
        draft = dataclasses.replace(
            self.drafts.draft(image, produced_at, revision, predecessor),
            not_read=tuple(
                NotRead(sop_instance_uid=each.sop_instance_uid, reason="Another is read.")
                for each in others
            ),
        )
        report = self.drafts.report(study.study_instance_uid, revision)
        report.ContentDate = produced_at.strftime("%Y%m%d")
        report.ContentTime = produced_at.strftime("%H%M%S.%f")
        report.PreliminaryFlag, report.VerificationFlag = "PRELIMINARY", "UNVERIFIED"
        made = Output(kind="draft-report", dataset=report)
        return Drafted(draft=draft, outputs=(made,))


class Bench:
    """A store, a reading task, and what a test does with them."""

    def __init__(self, store, folder, drafts, **sections):
        self.drafts = drafts
        self.store = store
        self.image = drafts.file(folder / "image.dcm", STUDY)
        self.settings = load_settings(
            data_dir=folder,
            broker={"url": "redis://127.0.0.1:1/0"},
            destinations=[{"kind": "folder", "name": "A", "path": str(folder / "a")}],
            reading={"max_attempts": 2, "lease_seconds": 60} | sections.get("reading", {}),
        )
        self.reader = ScriptedReader(drafts)
        self.published = []
        self.abandon = threading.Event()
        self.replaced = []
        self.task = self.worker("reader")

    def worker(self, owner):
        """Return the reading task of another worker on the same store."""
        return register_read(worker_app(self.settings), self.drafting(owner))

    def drafting(self, owner, publish=None):
        """Return the work of a worker on the same store."""
        return Drafting(
            self.store,
            self.settings,
            self.reader,
            publish or self.published.append,
            owner,
            self.abandon,
            lambda: self.replaced.append(owner),
        )

    def arrive(self, number=1, study=STUDY, destinations=None):
        """Let an image arrive and its study be scheduled; return the new job or None."""
        path = self.image
        if study != STUDY:
            path = self.drafts.file(self.image.with_name(f"{study}.dcm"), study)
        image = self.drafts.image(study, number, path)
        return self.drafts.arrived(self.store, image, destinations)


@pytest.fixture
def bench(store, tmp_path, drafts):
    """A bench on each kind of database."""
    return Bench(store, tmp_path, drafts)


def test_a_study_is_drafted_and_its_objects_are_on_disk(bench, store):
    """DRAFTED, the file as it was hashed, and one message for the deliverers."""
    job = bench.arrive()
    bench.task(job.id)
    after = store.job(job.id)
    assert after.state is JobState.DRAFTED
    assert after.draft.findings_text == ("Clear.",)
    (item,) = store.objects(job.id)
    assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.sha256
    assert item.path.is_absolute()
    assert not list(item.path.parent.glob("*.partial"))
    assert [each.id for each in bench.published] == [job.id]


@pytest.mark.parametrize("names", [("clinic",), ("A", "clinic"), ()])
def test_results_go_where_they_went_when_the_job_was_made(bench, store, names):
    """The caller is not in the settings any more, nor is the clinic: nobody else gets its results."""
    job = bench.arrive(destinations=names)
    bench.task(job.id)
    assert {each.destination for each in store.deliveries(job.id)} == set(names)
    assert store.job(job.id).state is (JobState.DRAFTED if names else JobState.COMPLETED)


def test_a_job_of_an_older_version_goes_by_the_settings(bench, store):
    """It has no destinations of its own: an unknown caller names none, so all of them get it."""
    job = bench.arrive()
    bench.task(job.id)
    assert [each.destination for each in store.deliveries(job.id)] == ["A"]


def test_what_a_killed_write_left_is_gone_when_the_job_is_read_again(bench, store):
    """A process killed between opening and renaming leaves a file; another job's stays."""
    job = bench.arrive()
    folder = bench.settings.outbox_dir / job.id / "0"
    other = bench.settings.outbox_dir / "other" / "1" / "overlay.partial"
    for each in (folder, other.parent):
        each.mkdir(parents=True)
    other.write_bytes(b"half")
    program = (
        "import os, signal, sys; from pathlib import Path; from workers import outbox; "
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); "
        "outbox._write_whole(Path(sys.argv[1]), b'half')"
    )
    path = folder / "overlay.dcm"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.with_suffix(".partial").exists()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED
    assert not list(folder.parent.rglob("*.partial"))
    assert other.exists()


def test_a_message_that_comes_twice_reads_once(bench):
    """The second finds nothing to claim."""
    job = bench.arrive()
    bench.task(job.id)
    bench.task(job.id)
    assert len(bench.reader.asked) == 1


def test_a_message_of_an_unknown_job_does_nothing(bench):
    """An old message after the database was created again is harmless."""
    bench.task("0" * 32)
    assert bench.reader.asked == []


def test_a_full_disk_uses_up_no_attempts(store, small_disk, drafts, clock):
    """However often it is full, the job waits for room and is then drafted."""
    bench = Bench(store, small_disk, drafts)
    job = bench.arrive()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    for _ in range(bench.settings.reading.max_attempts + 1):
        bench.task(job.id)
        clock.move(10.5)
        waiting = store.job(job.id)
        assert (waiting.state, waiting.attempts) == (JobState.SCHEDULED, 0)
    assert "No space left" in waiting.reason
    assert store.objects(job.id) == []
    filler.unlink()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED


def test_what_cannot_be_read_states_why(bench, store):
    """NOT_ANALYSED with the reader's code and sentence."""
    bench.reader.script = [NotAnalysed(code="LATERAL", sentence="Only a lateral.", not_read=())]
    job = bench.arrive()
    bench.task(job.id)
    after = store.job(job.id)
    assert (after.state, after.reason_code, after.reason) == (
        JobState.NOT_ANALYSED,
        "LATERAL",
        "Only a lateral.",
    )


def test_what_may_pass_is_tried_again_with_the_same_bytes(bench, store, clock):
    """After the wait the second attempt makes what the first would have made."""
    bench.reader.script = [TransientReadingError("Out of memory.")]
    job = bench.arrive()
    bench.task(job.id)
    waiting = store.job(job.id)
    assert (waiting.state, waiting.first_error) == (JobState.SCHEDULED, "Out of memory.")
    assert (waiting.not_before - clock()).total_seconds() == 2
    clock.move(3600)
    bench.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED
    assert bench.reader.asked[0] == bench.reader.asked[1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermanentReadingError("The answer is no report."), "PERMANENT_READING_ERROR"),
        (PixelError("The pixels cannot be decoded."), "PIXEL_ERROR"),
        (ZeroDivisionError("DOE^JOHN"), "ZERO_DIVISION_ERROR"),
    ],
)
def test_what_will_not_pass_fails_at_once(bench, store, error, code):
    """One attempt; an error that is not ours shows its type and nothing that it says."""
    bench.reader.script = [error]
    job = bench.arrive()
    bench.task(job.id)
    failed = store.job(job.id)
    assert (failed.state, failed.reason_code, failed.attempts) == (JobState.FAILED, code, 1)
    assert "DOE" not in str(failed)


def test_too_many_attempts_fail(bench, store, clock):
    """After max_attempts what may pass is FAILED, the first error still on the row."""
    bench.reader.script = [TransientReadingError("First."), TransientReadingError("Second.")]
    job = bench.arrive()
    for _ in range(2):
        bench.task(job.id)
        clock.move(60)
    failed = store.job(job.id)
    assert (failed.state, failed.first_error, failed.last_error) == (
        JobState.FAILED,
        "First.",
        "Second.",
    )


def test_a_spool_that_is_not_here_is_no_unreadable_image(bench, store, clock):
    """Where the image's file is missing the job waits and asks about the folder; it is not refused."""
    job = bench.arrive()
    bench.image.rename(bench.image.with_suffix(".away"))
    bench.task(job.id)
    waiting = store.job(job.id)
    assert waiting.state is JobState.SCHEDULED
    assert "is data_dir here" in waiting.first_error
    assert bench.reader.asked == []
    bench.image.with_suffix(".away").rename(bench.image)
    clock.move(60)
    bench.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED


def test_a_later_image_gives_a_draft_that_names_the_earlier(bench, store):
    """The second reading is asked with the first draft report as predecessor."""
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
    """What no draft has weighed is read, though the image of the earlier draft is gone."""
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
    """Another caller sends the study on: a destination that has no draft of it gets one."""
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
    """Within a third of the lease the reader gets that nobody wants the draft any more."""
    bench = Bench(store, tmp_path, drafts, reading={"lease_seconds": 0.6})

    def wait(canceled):
        store.cancel(job.id, "admin")
        deadline = time.monotonic() + 5
        while not canceled():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise ReadingCanceled("nobody wants it")

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
        raise ReadingCanceled("nobody wants it")

    bench.reader.script = [wait]
    job = bench.arrive()
    with drafting.watched():
        register_read(worker_app(bench.settings), drafting)(job.id)
    assert store.job(job.id).state is JobState.CANCELED


def test_a_reading_that_hangs_goes_back_and_its_worker_is_replaced(
    store, tmp_path, drafts, eventually
):
    """Counted as an attempt, with an incident; what continues beside it is not touched."""
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
    """The job goes back, and the worker does not go on with what cannot read."""
    bench.reader.script = [ReaderStopped("The engine has ended.")]
    job = bench.arrive()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.SCHEDULED
    assert bench.replaced == ["reader"]


def test_the_last_try_is_made_alone(bench, store, clock):
    """A job that may be what ends its workers takes nobody with it the last time."""
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


def test_a_broker_that_is_away_does_not_lose_the_draft(bench, store, clock):
    """The draft is kept, and the sweeper's next look finds its delivery due."""

    def refuse(_job):
        raise BrokerUnavailable("Redis does not answer")

    drafting = bench.drafting("reader", refuse)
    job = bench.arrive()
    register_read(worker_app(bench.settings), drafting)(job.id)
    assert store.job(job.id).state is JobState.DRAFTED
    (due,) = store.due_deliveries(clock(), clock())
    assert (due[1].id, due[2]) == (job.id, None)


def test_without_database_a_message_ends_quietly(tmp_path, free_port, drafts):
    """There is nothing to claim; the sweeper sends the message again."""
    url = f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none"
    bench = Bench(Store(url, busy_seconds=1), tmp_path, drafts)
    with capture_logs() as logs:
        bench.task("0" * 32)
    assert "claim_failed" in [entry["event"] for entry in logs]
    assert bench.reader.asked == []
