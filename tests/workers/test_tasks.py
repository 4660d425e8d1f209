import contextlib
import hashlib
import threading
import time

import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from dicom.errors import PixelError
from dicom.identifiers import derived_uid
from dicom.outputs import Output
from dicom.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.config import load_settings
from service.errors import (
    BrokerUnavailable,
    PermanentReadingError,
    ReadingCancelled,
    TransientReadingError,
)
from service.jobs import JobState
from service.store import Store
from workers.app import worker_app
from workers.drafting import Drafting
from workers.reading import Drafted, NotAnalysed
from workers.tasks import register_read

STUDY = "1.2.3"


def output(job_study, produced_at, revision):
    """A small SR that depends on nothing but its arguments."""
    report = Dataset()
    report.SOPClassUID = BasicTextSRStorage
    report.SOPInstanceUID = derived_uid(job_study, revision)
    report.StudyInstanceUID = job_study
    report.SeriesInstanceUID = derived_uid(job_study, "series", revision)
    report.ContentDate = produced_at.strftime("%Y%m%d")
    report.ContentTime = produced_at.strftime("%H%M%S.%f")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = BasicTextSRStorage
    meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return Output(
        kind="draft-report",
        dataset=FileDataset("", report, preamble=b"\0" * 128, file_meta=meta),
    )


class ScriptedReader:
    """Reads the first film, or does what the script says; remembers what it was asked."""

    def __init__(self):
        self.script = []
        self.asked = []

    def read(self, study, *, revision, predecessor, produced_at, cancelled):
        """Return what the next line of the script says."""
        self.asked.append((study, revision, predecessor, produced_at))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, NotAnalysed):
            return step
        if callable(step):
            step(cancelled)
        film = study.instances[step if isinstance(step, int) else 0]
        draft = DraftReport(
            study_instance_uid=study.study_instance_uid,
            source=SourceImage(
                sop_instance_uid=film.sop_instance_uid,
                sop_class_uid=film.sop_class_uid,
                series_instance_uid=film.series_instance_uid,
                rows=1,
                columns=1,
            ),
            revision=revision,
            produced_at=produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="tiny", version="1", weights_sha256="0" * 64),
            predecessor=predecessor,
        )
        made = output(study.study_instance_uid, produced_at, revision)
        return Drafted(draft=draft, outputs=(made,))


class Bench:
    """A store, a reading task, and what a test does with them."""

    def __init__(self, store, folder, **sections):
        self.store = store
        self.film = folder / "film.dcm"
        self.film.write_bytes(b"film")
        self.settings = load_settings(
            data_dir=folder,
            broker={"url": "redis://127.0.0.1:1/0"},
            destinations=[{"kind": "folder", "name": "A", "path": str(folder / "a")}],
            reading={"max_attempts": 2, "lease_seconds": 60} | sections.get("reading", {}),
        )
        self.reader = ScriptedReader()
        self.published = []
        self.abandon = threading.Event()
        self.task = self.worker("reader")

    def worker(self, owner):
        """Return the reading task of another worker on the same store."""
        drafting = Drafting(
            self.store, self.settings, self.reader, self.published.append, owner, self.abandon
        )
        return register_read(worker_app(self.settings), drafting)

    def arrive(self, number=1):
        """Let a film arrive and its study be scheduled; return the new job or None."""
        film = Instance(
            sop_instance_uid=f"{STUDY}.1.{number}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{STUDY}.2",
            study_instance_uid=STUDY,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=self.film,
            sha256="a" * 64,
            size=1,
        )
        self.store.add_instance(film, calling_ae="M", association_id="A", eligible=True)
        return self.store.schedule(STUDY, model="tiny", version="1", actor="t", reason="Released.")


@pytest.fixture
def bench(store, tmp_path):
    """A bench on each kind of database."""
    return Bench(store, tmp_path)


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


def test_a_message_that_comes_twice_reads_once(bench):
    """The second finds nothing to claim."""
    job = bench.arrive()
    bench.task(job.id)
    bench.task(job.id)
    assert len(bench.reader.asked) == 1


def test_a_message_of_an_unknown_job_does_nothing(bench):
    """An old message after the database was made anew is harmless."""
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


def test_what_cannot_be_read_says_why(bench, store):
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


def test_a_spool_that_is_not_here_is_no_unreadable_film(bench, store, clock):
    """Where the film's file is missing the job waits and asks about the folder; it is not refused."""
    job = bench.arrive()
    bench.film.rename(bench.film.with_suffix(".away"))
    bench.task(job.id)
    waiting = store.job(job.id)
    assert waiting.state is JobState.SCHEDULED
    assert "is data_dir here" in waiting.first_error
    assert bench.reader.asked == []
    bench.film.with_suffix(".away").rename(bench.film)
    clock.move(60)
    bench.task(job.id)
    assert store.job(job.id).state is JobState.DRAFTED


def test_a_later_film_gives_a_draft_that_names_the_earlier(bench, store):
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


def test_a_later_film_that_changes_nothing_leaves_the_earlier_draft(bench, store):
    """The same film is chosen: CANCELED with NO_CHANGE, nothing superseded, nothing to deliver."""
    first = bench.arrive(1)
    bench.task(first.id)
    second = bench.arrive(2)
    bench.task(second.id)
    after = store.job(second.id)
    assert (after.state, after.reason_code) == (JobState.CANCELED, "NO_CHANGE")
    assert store.job(first.id).superseded_by is None
    assert len(bench.published) == 1


def test_a_reading_that_a_person_asked_for_is_kept(bench, store):
    """Forced: a new draft although the same film was read."""
    first = bench.arrive(1)
    bench.task(first.id)
    again = store.schedule(
        STUDY, model="tiny", version="1", actor="admin", reason="Asked.", force=True
    )
    bench.task(again.id)
    assert store.job(again.id).state is JobState.DRAFTED


def test_a_stopped_worker_hands_back_without_counting(bench, store):
    """The process must end: the job is SCHEDULED again and has lost no attempt."""

    def stop(cancelled):
        bench.abandon.set()
        assert cancelled()
        raise ReadingCancelled("stopped")

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

    def lose(_cancelled):
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


def test_a_cancel_reaches_the_reader(store, tmp_path):
    """Within a third of the lease the reader hears that nobody wants the draft any more."""
    bench = Bench(store, tmp_path, reading={"lease_seconds": 0.6})

    def wait(cancelled):
        store.cancel(job.id, "admin")
        deadline = time.monotonic() + 5
        while not cancelled():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise ReadingCancelled("nobody wants it")

    bench.reader.script = [wait]
    job = bench.arrive()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.CANCELED


def test_a_broker_that_is_away_does_not_lose_the_draft(bench, store, clock):
    """The draft is kept, and the sweeper's next look finds its delivery due."""

    def refuse(_job):
        raise BrokerUnavailable("Redis does not answer")

    drafting = Drafting(store, bench.settings, bench.reader, refuse, "reader", bench.abandon)
    job = bench.arrive()
    register_read(worker_app(bench.settings), drafting)(job.id)
    assert store.job(job.id).state is JobState.DRAFTED
    (due,) = store.due_deliveries(clock(), clock())
    assert (due[1].id, due[2]) == (job.id, None)


def test_without_database_a_message_ends_quietly(tmp_path, free_port):
    """There is nothing to claim; the sweeper sends the message again."""
    url = f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none"
    Bench(Store(url, busy_seconds=1), tmp_path).task("0" * 32)
