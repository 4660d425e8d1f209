"""Reading tasks: messages, attempts, and the effect of an error on a job."""

import contextlib
import hashlib
import signal
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from dicom.errors import PixelError
from service.errors import (
    BrokerUnavailable,
    PermanentReadingError,
    TransientReadingError,
)
from service.jobs import JobState
from service.store import Store
from tests.workers.reading_bench import Bench
from workers.app import worker_app
from workers.reading.outcomes import NotAnalysed
from workers.tasks import register_read


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
    """The caller is not in the settings any more, nor is the clinic: no one else gets its results."""
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
    """For any number of times that it is full, the job waits for room and is then drafted."""
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
    """After the wait the second attempt makes the draft that the first would have made."""
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
    """One attempt; an error that is not ours shows its type and not its message."""
    bench.reader.script = [error]
    job = bench.arrive()
    bench.task(job.id)
    failed = store.job(job.id)
    assert (failed.state, failed.reason_code, failed.attempts) == (JobState.FAILED, code, 1)
    assert "DOE" not in str(failed)


def test_too_many_attempts_fail(bench, store, clock):
    """After max_attempts a temporary error is FAILED, the first error still on the row."""
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
