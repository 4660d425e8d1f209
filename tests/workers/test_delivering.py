import hashlib
import threading
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from dicom.errors import DestinationRejected
from dicom.report import DraftReport, ModelIdentity, SourceImage
from dicom.study import Instance
from service.config import load_settings
from service.destinations import destinations
from service.jobs import DeliveryState, JobState
from service.records import ResultObject
from service.store import Store
from workers.app import worker_app
from workers.delivering import Delivering
from workers.tasks import register_deliver


class Bench:
    """A store, destinations and a deliverer, and what a test does with them."""

    def __init__(self, store, folder, destinations_given):
        self.folder = folder
        self.settings = load_settings(
            data_dir=folder / "data",
            broker={"url": "redis://127.0.0.1:1/0"},
            destinations=destinations_given,
            delivery={"retry_seconds": 2, "retry_max_seconds": 10, "give_up_hours": 1},
        )
        self.store = store
        self.stop = threading.Event()
        self.delivering = Delivering(
            store, self.settings, destinations(self.settings), "sender", self.stop
        )
        self.task = register_deliver(worker_app(self.settings), self.delivering)

    def drafted(self, study="1.2.3", names=None):
        """Return a DRAFTED job with one object, to be delivered to `names` (all that are configured)."""
        film = Instance(
            sop_instance_uid=f"{study}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{study}.2",
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("/spool/film"),
            sha256="a" * 64,
            size=1,
        )
        self.store.add_instance(film, calling_ae="M", association_id="A", eligible=True)
        made = self.store.schedule(study, model="tiny", version="1", actor="t", reason="Released.")
        job = self.store.claim_reading(made.id, "reader", 60)
        report = DraftReport(
            study_instance_uid=study,
            source=SourceImage(
                sop_instance_uid=film.sop_instance_uid,
                sop_class_uid=film.sop_class_uid,
                series_instance_uid=film.series_instance_uid,
                rows=1,
                columns=1,
            ),
            revision=1,
            produced_at=job.produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="tiny", version="1", weights_sha256="0" * 64),
        )
        if names is None:
            names = [each.name for each in self.settings.destinations]
        return self.store.draft(job.id, job.fence, report, [self.object_of(job)], names)

    def object_of(self, job):
        """Write a result into the outbox; return its record."""
        path = self.settings.outbox_dir / job.id / "draft-report.dcm"
        path.parent.mkdir(parents=True)
        report = Dataset()
        report.SOPClassUID = BasicTextSRStorage
        report.SOPInstanceUID = f"2.25.{int(job.id, 16)}"
        report.StudyInstanceUID = job.study_instance_uid
        report.SeriesInstanceUID = "2.25.7"
        report.file_meta = FileMetaDataset()
        report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        report.save_as(path, enforce_file_format=True)
        return ResultObject(
            kind="draft-report",
            sop_class_uid=BasicTextSRStorage,
            sop_instance_uid=report.SOPInstanceUID,
            series_instance_uid="2.25.7",
            study_instance_uid=job.study_instance_uid,
            path=path,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )

    def state(self, job):
        """Return the state of the job and of its deliveries by destination."""
        deliveries = {each.destination: each.state for each in self.store.deliveries(job.id)}
        return self.store.job(job.id).state, deliveries


def folder(tmp_path, name="A", **other):
    """A folder destination."""
    return {"kind": "folder", "name": name, "path": str(tmp_path / name), **other}


def away(port, name="B"):
    """A PACS that nobody runs."""
    return {
        "kind": "dimse",
        "name": name,
        "host": "127.0.0.1",
        "port": port,
        "ae_title": "PACS",
        "timeout": 2,
    }


def test_a_delivered_job_is_completed(store, tmp_path):
    """The file lies at the destination, read back, and the job is COMPLETED."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted()
    bench.task(job.id)
    assert bench.state(job) == (JobState.COMPLETED, {"A": DeliveryState.CONFIRMED})
    (sent,) = [path for path in (tmp_path / "A").rglob("*") if path.is_file()]
    assert sent.read_bytes() == store.objects(job.id)[0].path.read_bytes()


def test_a_message_that_comes_twice_sends_once(store, tmp_path):
    """The second finds nothing to claim."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted()
    bench.task(job.id)
    before = store.events(job.id)
    bench.task(job.id)
    assert store.events(job.id) == before


def test_a_pacs_that_is_away_waits_longer_each_time(store, clock, tmp_path, free_port):
    """The delays double up to the limit; the other destination is not held up."""
    bench = Bench(store, tmp_path, [away(free_port()), folder(tmp_path)])
    job = bench.drafted()
    delays = []
    for _ in range(4):
        bench.task(job.id)
        waiting = next(each for each in store.deliveries(job.id) if each.destination == "B")
        delays.append((waiting.not_before - clock()).total_seconds())
        clock.now = waiting.not_before
    assert delays == [2, 4, 8, 10]
    assert waiting.attempts == 4
    assert waiting.first_error
    assert bench.state(job) == (
        JobState.DRAFTED,
        {"A": DeliveryState.CONFIRMED, "B": DeliveryState.PENDING},
    )


def test_a_pacs_away_for_too_long_fails_the_job(store, clock, tmp_path, free_port):
    """After give_up_hours the delivery is FAILED and the job says which destination it was."""
    bench = Bench(store, tmp_path, [away(free_port())])
    job = bench.drafted()
    bench.task(job.id)
    clock.move(3601)
    bench.task(job.id)
    failed = store.job(job.id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "NOT_DELIVERED")
    assert failed.reason.startswith("B: ")


def test_drafts_that_waited_for_a_pacs_all_arrive(store, clock, tmp_path, free_port):
    """What a PACS missed while it was away is delivered by one message once it is back."""
    port = free_port()
    gone = Bench(store, tmp_path, [away(port, "A")])
    jobs = [gone.drafted(f"1.{number + 1}") for number in range(5)]
    for job in jobs:
        gone.task(job.id)
    clock.move(60)
    back = Bench(store, tmp_path, [folder(tmp_path)])
    back.task(jobs[0].id)
    assert {back.state(job)[0] for job in jobs} == {JobState.COMPLETED}


def test_a_result_that_was_changed_on_disk_is_not_sent(store, tmp_path):
    """The destination object notices; the job fails at once, because sending again cannot help."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted()
    store.objects(job.id)[0].path.write_bytes(b"something else")
    bench.task(job.id)
    failed = store.job(job.id)
    assert failed.state is JobState.FAILED
    assert failed.attempts == 1
    assert not list((tmp_path / "A").rglob("*.dcm"))


def test_a_destination_that_was_taken_out_of_the_settings_fails(store, tmp_path):
    """A delivery to a name that is no longer configured does not wait for ever."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted(names=["A", "OLD"])
    bench.task(job.id)
    failed = store.job(job.id)
    assert failed.state is JobState.FAILED
    assert "OLD: this destination is no longer configured" in failed.reason


def test_an_unforeseen_error_fails_with_its_type_only(store, tmp_path):
    """What a library says may hold a patient attribute; the job shows the type."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])

    class Broken:
        name = "A"

        def send(self, objects):
            raise ZeroDivisionError(f"DOE^JOHN {len(objects)}")

    bench.delivering._destinations = {"A": Broken()}
    job = bench.drafted()
    bench.task(job.id)
    failed = store.job(job.id)
    assert "ZeroDivisionError" in failed.reason
    assert "DOE" not in str(failed) + str(store.deliveries(job.id)) + str(store.events(job.id))


def test_a_sender_that_lost_its_lease_confirms_nothing(store, clock, tmp_path):
    """Its delivery was taken back while it was sending: another one sends and confirms."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted()
    (claim,) = [next(bench.delivering.claims(job.id))]
    store.take_back_deliveries(clock.move(121))
    with pytest.raises(Exception, match="holds it no longer") as caught:
        bench.delivering.work(claim)
    bench.delivering.give_back(claim, caught.value)
    assert bench.state(job)[1] == {"A": DeliveryState.PENDING}
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED


def test_a_worker_that_stops_begins_nothing(store, tmp_path):
    """After the stop signal a message that still comes claims nothing."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted()
    bench.stop.set()
    bench.task(job.id)
    assert bench.state(job)[1] == {"A": DeliveryState.PENDING}


def test_a_database_that_is_away_ends_the_message_quietly(tmp_path, free_port):
    """Without a database there is nothing to claim; the sweeper sends the message again."""
    url = f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none"
    bench = Bench(Store(url, busy_seconds=1), tmp_path, [folder(tmp_path)])
    bench.task("0" * 32)


def test_a_rejection_is_final(store, tmp_path):
    """DestinationRejected fails at the first attempt."""
    bench = Bench(store, tmp_path, [folder(tmp_path)])
    job = bench.drafted()
    claim = next(bench.delivering.claims(job.id))
    bench.delivering.give_back(claim, DestinationRejected("It said no."))
    assert store.job(job.id).reason == "A: It said no."
