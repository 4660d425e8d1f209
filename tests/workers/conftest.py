"""The golden checkpoints beside the repository, a tiny checkpoint, and the jobs that tests deliver."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sysconfig
import threading
import time
import urllib.request
import venv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import BasicTextSRStorage, SecondaryCaptureImageStorage

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.identifiers import derived_uid
from dicom.results.outputs import as_file
from dicom.study import Instance
from service.records import JobRequest, ResultObject
from service.settings.config import load_settings
from service.settings.destination_factory import destinations
from workers.app import worker_app
from workers.delivery.delivering import Delivering
from workers.delivery.pool import DeliveryPool, bulkheads
from workers.tasks import register_deliver, work_on

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def goldens() -> Path:
    """The small golden arrays that the repository carries."""
    return Path(__file__).parent / "goldens"


@pytest.fixture(scope="session")
def shared_goldens() -> Path:
    """The folder of golden checkpoints beside the repository; read-only."""
    folder = REPOSITORY.parent / "shared" / "reference" / "goldens"
    if not folder.is_dir():
        pytest.skip("the golden checkpoints (../shared/reference/goldens) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint; read-only."""
    from workers.model.checkpoints.tiny import ensure_tiny  # noqa: PLC0415 - torch only where it is asked for

    return ensure_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Any:
    """The tiny model, loaded once for a module."""
    from workers.model.checkpoints import registry  # noqa: PLC0415 - torch only where it is asked for

    return registry.load("tiny", tiny_folder)


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    """An image of noise, float32 [90, 70] in 0..1."""
    return np.random.default_rng(0).random((90, 70), dtype=np.float32)


class Drafts:
    """Makes images, drafts and small results, and the jobs that hold them."""

    def image(self, study, number=1, path=Path("/spool/image")):
        """Return an image of the study that lies at `path`."""
        return Instance(
            sop_instance_uid=f"{study}.1.{number}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid=f"{study}.2",
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=path,
            digest="a" * 64,
            size=1,
        )

    def file(self, path, study):
        """Write a file at `path` that states its study, as each result's image does; return the path."""
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", f"{study}.1.1"
        header.StudyInstanceUID = study
        as_file(header).save_as(path, enforce_file_format=True)
        return path

    def draft(self, image, produced_at, revision=1, predecessor=None):
        """Return a draft that states a normal image."""
        return DraftReport(
            study_instance_uid=image.study_instance_uid,
            source=SourceImage(
                sop_instance_uid=image.sop_instance_uid,
                sop_class_uid=image.sop_class_uid,
                series_instance_uid=image.series_instance_uid,
                rows=1,
                columns=1,
            ),
            revision=revision,
            produced_at=produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="tiny", version="1", weights_sha256="0" * 64),
            predecessor=predecessor,
        )

    def report(self, study, key) -> FileDataset:
        """Return a small SR of the study that depends on nothing but the arguments."""
        report = Dataset()
        report.SOPClassUID = BasicTextSRStorage
        report.SOPInstanceUID = derived_uid(study, key)
        report.StudyInstanceUID = study
        report.SeriesInstanceUID = derived_uid(study, "series", key)
        return as_file(report)

    def arrived(self, store, image, destinations=None):
        """Let an image arrive and its study be scheduled; return the new job or None."""
        store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
        study = image.study_instance_uid
        wanted = JobRequest(
            study_instance_uid=study, model="demo", version="1", destinations=destinations
        )
        return next(iter(store.schedule_all([wanted], actor="t", reason="Released.")), None)

    def claimed(self, store, study, owner="reader"):
        """Return a job of an image of its own that `owner` reads."""
        return store.claim_reading(self.arrived(store, self.image(study)).id, owner, 60)

    def drafted(self, store, outbox, study, names, kinds=("draft-report",)):
        """Return a DRAFTED job whose objects wait in the outbox for the destinations `names`."""
        job = self.claimed(store, study)
        draft = self.draft(self.image(study), job.produced_at)
        objects = [self.result(outbox, job, kind) for kind in kinds]
        return store.draft(job.id, job.fence, draft, objects, names)

    def result(self, outbox, job, kind="draft-report"):
        """Write a result of the job into the outbox; return its record."""
        path = outbox / job.id / f"{kind}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        report = self.report(job.study_instance_uid, f"{job.id} {kind}")
        if kind in {"overlay", "report-page"}:
            report.SOPClassUID = SecondaryCaptureImageStorage
            report.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        report.save_as(path, enforce_file_format=True)
        return ResultObject(
            kind=kind,
            sop_class_uid=str(report.SOPClassUID),
            sop_instance_uid=str(report.SOPInstanceUID),
            series_instance_uid=str(report.SeriesInstanceUID),
            study_instance_uid=job.study_instance_uid,
            path=path,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )


@pytest.fixture(scope="session")
def drafts() -> Drafts:
    """Makes images, drafts and the jobs that hold them."""
    return Drafts()


class DeliveryBench:
    """A store, destinations and a deliverer, and the operations of a test on them."""

    def __init__(self, store, folder, destinations_given, drafts, **delivery):
        self.drafts = drafts
        self.folder = folder
        self.settings = load_settings(
            data_dir=folder / "data",
            broker={"url": "redis://127.0.0.1:1/0"},
            destinations=destinations_given,
            delivery={"retry_seconds": 2, "retry_max_seconds": 10, "give_up_hours": 1, **delivery},
        )
        self.store = store
        self.stop = threading.Event()
        limits = bulkheads(self.settings, clock=lambda: store.now().timestamp())
        self.delivering = Delivering(
            store,
            self.settings,
            destinations(self.settings),
            "sender",
            self.stop,
            next_pause=limits.next_pause,
        )
        self.pool = DeliveryPool(self.delivering, limits, partial(work_on, self.delivering))
        self.message = register_deliver(worker_app(self.settings), self.pool)

    def task(self, job_id):
        """Work on a message, and on what it starts, to the end."""
        self.message(job_id)
        self.pool.join()

    def drafted(self, study="1.2.3", names=None, kinds=("draft-report",)):
        """Return a DRAFTED job with objects of these kinds, to be delivered to `names` or all."""
        if names is None:
            names = [each.name for each in self.settings.destinations]
        return self.drafts.drafted(self.store, self.settings.outbox_dir, study, names, kinds)

    def state(self, job):
        """Return the state of the job and of its deliveries by destination."""
        deliveries = {each.destination: each.state for each in self.store.deliveries(job.id)}
        return self.store.job(job.id).state, deliveries


@pytest.fixture
def bench_of(store, tmp_path, drafts):
    """A function that returns a bench with these destinations, by default on each kind of database."""

    def make(*destinations_given, on=store, **delivery):
        return DeliveryBench(on, tmp_path, destinations_given, drafts, **delivery)

    return make


SERVING = "transformers[serving]==5.23.0"
SERVE = "from transformers.cli.transformers import main; main()"
# Time limit of pip, after which the test is skipped.
INSTALL_SECONDS = 240


@pytest.fixture(scope="session")
def serving_python():
    """The Python of an environment in build/ that has `transformers serve`; made at the first use.

    Its own packages are those of the server; torch and transformers are those of our environment.
    """
    folder = REPOSITORY / "build" / "serving"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        [packages] = folder.glob("lib/python*/site-packages")
        (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        install = [python, "-m", "pip", "install", "-q", SERVING]
        try:
            subprocess.run(install, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip(f"pip cannot install {SERVING} here")
        (folder / "complete").touch()
    return python


@pytest.fixture
def transformers_serve(serving_python, tmp_path):
    """A function that starts a real `transformers serve` of a folder; returns the root of its API."""
    started = []

    def start(folder, port):
        log = (tmp_path / "serve.log").open("w")
        command = [
            serving_python,
            "-c",
            SERVE,
            "serve",
            folder,
            "--device",
            "cpu",
            "--port",
            str(port),
        ]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        started.append(subprocess.Popen(command, stdout=log, stderr=log, env=offline))
        health = f"http://127.0.0.1:{port}/health"
        for _ in range(600):
            assert started[-1].poll() is None, (tmp_path / "serve.log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=1):
                return f"http://127.0.0.1:{port}/v1"
            time.sleep(0.2)
        raise AssertionError((tmp_path / "serve.log").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(30)
