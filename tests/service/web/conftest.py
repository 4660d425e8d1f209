"""A real store, real images in a spool, and the web process's application on a real socket."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    NotRead,
    Observation,
    Presence,
    Side,
    SourceImage,
)
from dicom.identifiers import derived_uid
from dicom.study import Instance
from service.accounts import Role, SessionLimits, new_secret
from service.destination_backlog import Trouble
from service.passwords import hash_password
from service.records import NOTHING, Job, ResultObject, StatusReport
from service.settings.config import Settings
from service.store import Store
from service.web.access.transport import SECURE_COOKIE
from service.web.app import make_app, make_app_context
from service.web.app_context import AppContext
from service.web.server import Server, address_of, listen
from tests.databases import make_database
from tests.spooled import spool

MODEL = ModelIdentity(
    name="Tiny",
    version="0.1",
    weights_sha256="0" * 64,
    decoding="greedy, 64 new tokens, float32, cpu",
    caveat="its weights are random: the text is meaningless.",
)


PHRASE = "correct horse battery"
PHRASE_HASH = hash_password(PHRASE)
# One for all requests: to make it for each takes longer than most answers.
_TLS = ssl.create_default_context()
LIMITS = SessionLimits(idle=timedelta(minutes=30), absolute=timedelta(hours=12))


@dataclass(frozen=True)
class Site:
    """The application as a browser uses it."""

    url: str
    here: AppContext
    server: Server
    cookie: str = ""

    @property
    def store(self) -> Store:
        """The store behind the application."""
        return self.here.store

    def get(self, path: str, **options) -> httpx.Response:
        """Return the answer to a GET of a person with every role; `as_=""` is without a login."""
        return httpx.get(self.url + path.lstrip("/"), timeout=20, **self.as_person(options))

    def post(self, path: str, **options) -> httpx.Response:
        """Return the answer to a POST, likewise."""
        return httpx.post(self.url + path.lstrip("/"), timeout=20, **self.as_person(options))

    def request(self, method: str, path: str, **options) -> httpx.Response:
        """Return the answer to a request by any method, redirects not followed."""
        return httpx.request(
            method, self.url + path.lstrip("/"), timeout=20, **self.as_person(options)
        )

    def as_person(self, options: dict) -> dict:
        """Return the options of a request with the cookie of the session `as_`."""
        cookie = options.pop("as_", self.cookie)
        given = options.pop("headers", {})
        sent = {"Cookie": cookie, **given} if cookie else given
        return {"verify": _TLS, **options, "headers": sent}


@dataclass(frozen=True)
class Seeder:
    """Puts images and jobs into a store through the store's own methods."""

    store: Store
    folder: Path

    def image(
        self, number: int, *, study: int | None = None, side: int = 96, **options
    ) -> Instance:
        """Write a phantom's image into the spool and add its row."""
        uid = derived_uid("web test study", number if study is None else study)
        dataset = small_image(number, uid, side)
        path = self.folder / f"{dataset.SOPInstanceUID}.dcm"
        return spool(self.store, dataset, path, **{"association_id": f"a{number}", **options})

    def waiting(self, number: int, *, urgent: bool = False, **options) -> Job:
        """Return the SCHEDULED job of a new study of one image."""
        image = self.image(number, **options)
        job = self.store.schedule(
            image.study_instance_uid,
            model="demo",
            version=MODEL.version,
            urgent=urgent,
            actor="intake",
            reason="The association ended.",
        )
        assert job is not None
        return job

    def reading(self, number: int, **options) -> Job:
        """Return a job that a worker holds."""
        return self.claim(self.waiting(number, **options))

    def claim(self, job: Job, *, seconds: float = 3600) -> Job:
        """Return the job, held by a worker."""
        held = self.store.claim_reading(job.id, "reading@gpu-1", seconds)
        assert held is not None
        return held

    def drafted(self, number: int, destinations: Sequence[str] = ("orthanc",), **options) -> Job:
        """Return a job with a draft that waits to be delivered."""
        return self.finish(self.reading(number, **options), destinations)

    def finish(self, job: Job, destinations: Sequence[str] = ("orthanc",)) -> Job:
        """Return the held job with a draft."""
        report, result = self.draft_of(job), self.result_object(job)
        return self.store.draft(job.id, job.fence, report, [result], destinations)

    def draft_of(self, job: Job) -> DraftReport:
        """Return a draft about the first image of the job's study."""
        first, *others = self.store.instances(job.study_instance_uid)
        return DraftReport(
            study_instance_uid=job.study_instance_uid,
            source=SourceImage(
                sop_instance_uid=first.sop_instance_uid,
                sop_class_uid=first.sop_class_uid,
                series_instance_uid=first.series_instance_uid,
                rows=96,
                columns=96,
            ),
            revision=job.revision,
            produced_at=datetime.now(UTC),
            findings_text=(
                "The cardiac silhouette is enlarged.",
                "There is a small left pleural effusion with blunting of the costophrenic angle.",
                "Opacity at the left base may represent atelectasis or consolidation.",
                "No pneumothorax.",
            ),
            impression_text=("Cardiomegaly with a small left pleural effusion.",),
            findings=findings(),
            notes=("The text and the scores disagree on consolidation.",),
            not_read=tuple(
                NotRead(sop_instance_uid=each.sop_instance_uid, reason="It is a lateral image.")
                for each in others
            ),
            model=MODEL,
            timings_ms={"pixels": 41.0, "model": 812.0, "outputs": 96.0},
        )

    def result_object(self, job: Job) -> ResultObject:
        """Return an object as the reading worker leaves it; its file is not needed here."""
        return ResultObject(
            kind="draft-report",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
            sop_instance_uid=derived_uid("web test SR", job.id),
            series_instance_uid=derived_uid("web test SR series", job.id),
            study_instance_uid=job.study_instance_uid,
            path=Path("nowhere.dcm"),
            sha256="0" * 64,
        )

    def deliver(
        self, job: Job, *, error: str = "", refused: bool = False, trouble: Trouble | None = None
    ) -> None:
        """Try the job's next delivery once: confirm it, put it off, or have it refused."""
        claimed = self.store.claim_delivery(job.id, "delivery@front", 60, {})
        assert claimed is not None
        delivery = claimed[0]
        if refused:
            self.store.fail_delivery(delivery.id, delivery.fence, error, trouble=trouble)
        elif error:
            self.store.postpone_delivery(delivery.id, delivery.fence, error, 600, trouble=trouble)
        else:
            self.store.confirm_delivery(delivery.id, delivery.fence)

    def completed(self, number: int, **options) -> Job:
        """Return a job whose results a destination holds."""
        job = self.drafted(number, **options)
        self.deliver(job)
        return self.store.job(job.id)

    def beat(self, role: str, *, restarts: int = 0, report: StatusReport = NOTHING) -> None:
        """Record a heartbeat of this role now."""
        self.store.beat(
            f"{role}@host",
            role,
            host="host",
            pid=4711,
            started_at=datetime.now(UTC),
            restarts=restarts,
            report=report,
        )


def log_in(
    store: Store,
    *roles: Role,
    login: str = "ann",
    display_name: str = "Ann Lee",
    dicom_name: str = "",
) -> str:
    """Return the Cookie header of a new person with these roles, every one when none is given."""
    account = store.add_person(
        login,
        roles=frozenset(roles or Role),
        password_hash=PHRASE_HASH,
        actor="test",
        display_name=display_name,
        dicom_name=dicom_name,
    )
    token, digest = new_secret()
    assert store.open_session(digest, account.person.id, address="127.0.0.1", limits=LIMITS)
    return f"{SECURE_COOKIE}={token}"


def small_image(number: int, study_uid: str, side: int) -> Dataset:
    """Return a DX image whose gray rises from left to right."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = derived_uid("web test image", number)
    dataset.SeriesInstanceUID = derived_uid("web test series", number)
    dataset.StudyInstanceUID = study_uid
    dataset.PatientName = f"PHANTOM^CHEST^{number}"
    dataset.PatientID = f"PHANTOM-{number}"
    dataset.PatientBirthDate = "19731231"
    dataset.Modality = "DX"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.SamplesPerPixel = 1
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    ramp = np.linspace(0, 4095, side).astype("<u2")
    dataset.PixelData = np.tile(ramp, (side, 1)).tobytes()
    return dataset


def findings() -> tuple[Finding, ...]:
    """Return one finding of each presence and more."""
    return (
        Finding(observation=Observation.PNEUMOTHORAX, presence=Presence.ABSENT, score=0.02),
        Finding(
            observation=Observation.PLEURAL_EFFUSION,
            presence=Presence.PRESENT,
            side=Side.LEFT,
            site="costophrenic angle",
            score=0.91,
        ),
        Finding(observation=Observation.CARDIOMEGALY, presence=Presence.PRESENT, score=0.88),
        Finding(
            observation=Observation.ATELECTASIS,
            presence=Presence.UNCERTAIN,
            side=Side.LEFT,
            site="base",
        ),
        Finding(observation=Observation.CONSOLIDATION, presence=Presence.UNCERTAIN, score=0.12),
        Finding(observation=Observation.EDEMA, presence=Presence.NOT_MENTIONED),
    )


def make_settings(folder: Path, **overrides) -> Settings:
    """Return settings of a service in `folder`; no file and no environment is read."""
    base = {
        "data_dir": folder,
        "web": {"port": 0},
        "receiver": {"min_free_bytes": 0, "callers": [{"ae_title": "MODALITY"}]},
        "broker": {"url": "redis://127.0.0.1:1/0"},
        "destinations": [{"kind": "folder", "name": "orthanc", "path": folder / "out"}],
    }
    settings = Settings(**{**base, **overrides})
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    make_database(settings.database_url)
    return settings


def start_site(
    settings: Settings, *, logged_in: bool = True, **options
) -> tuple[Site, Callable[[], None]]:
    """Return the application on a free port, and the function that stops it; nothing is cached."""
    options = {"fresh_seconds": 0.0, **options}
    store = Store(settings.database_url)
    here = make_app_context(settings, store, **options)
    listener = listen(settings)
    server = Server(make_app(here), here.hub, settings)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        listener.close()
        store.close()
        assert not thread.is_alive()

    cookie = log_in(store) if logged_in else ""
    return Site(url=address_of(listener), here=here, server=server, cookie=cookie), stop


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """A function that starts the application with the test's settings."""
    yield from _site_maker(tmp_path)


@pytest.fixture(scope="module")
def make_module_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """The same, for sites that all tests of a module share."""
    yield from _site_maker(tmp_path_factory.mktemp("sites"))


def _site_maker(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    stops = []

    def make(max_streams: int = 64, *, logged_in: bool = True, **overrides) -> Site:
        folder = tmp_path / f"site{len(stops)}"
        site, stop = start_site(
            make_settings(folder, **overrides), logged_in=logged_in, max_streams=max_streams
        )
        stops.append(stop)
        return site

    yield make
    for stop in stops:
        stop()


@pytest.fixture(scope="session")
def cookie_of() -> Callable[..., str]:
    """A function that adds a person with roles to a store and returns the Cookie header of a login."""
    return log_in


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """The application with an empty store."""
    return make_site()


@pytest.fixture(scope="session")
def seeder_of() -> Callable[[Site], Seeder]:
    """A function that returns the object that fills a site's store."""
    return lambda site: Seeder(site.store, site.here.settings.spool_dir)


@pytest.fixture
def seeder(site: Site, seeder_of: Callable[[Site], Seeder]) -> Seeder:
    """The object that fills the store of `site`."""
    return seeder_of(site)
