"""`wetread demo`: the whole service with synthetic images, in a folder of its own.

Everything but the images is real: the receiver, the associations, Redis, the workers, and Orthanc if it
is installed.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydicom.uid import SecondaryCaptureImageStorage

from dicom.content.report import Observation, Side
from dicom.errors import DicomError
from dicom.phantom import PhantomFinding, as_dataset, draw, draw_lateral, write
from dicom.scu.store_scu import echo, send_files
from dicom.selection.local_files import describe
from service.accounts import Role
from service.all_in_one import AllInOne
from service.errors import ConfigurationError, NotFound, WetreadError
from service.first_account import demo_accounts
from service.jobs import FINAL
from service.records import Job, JobWithDraft
from service.settings.config import CONFIG, Settings, as_environment, settings_of
from service.store import Store
from service.system.private_servers import free_port, orthanc_part, orthanc_program, private_folder
from service.system.supervisor import Part

CALLING_AE = "DEMO"
# Not cleared: the small checkpoint takes seconds to make, and `run` holds the lock of this process.
_KEPT = {"models", "run"}
_READY_SECONDS = 90.0

# The findings in the image of each Study. The last (None) is a lateral image, which must not be read.
_SHOWN: tuple[tuple[PhantomFinding, ...] | None, ...] = (
    (),
    (
        PhantomFinding(observation=Observation.CARDIOMEGALY, extent=0.6),
        PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT),
    ),
    (PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.RIGHT, extent=0.6),),
    (PhantomFinding(observation=Observation.CONSOLIDATION, side=Side.RIGHT),),
    None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImage:
    """One file to send, its Study Instance UID, and what the image shows (or the file's name)."""

    path: Path
    study_instance_uid: str
    shown: str


def demo_settings(
    base: Settings, *, patients: bool = False
) -> tuple[Settings, dict[str, Any], list[Part], str]:
    """Return the demo's settings, the same as overrides, its own servers, and Orthanc's URL.

    Of the site's settings only `data_dir` is used. Every setting that is not given here has its default,
    whatever the site's file and environment contain. The URL is "" if Orthanc is not installed.

    Args:
        base: The site's settings.
        patients: Whether to set `reading.demo_reads_patients`.
    """
    folder = demo_folder(base)
    servers, orthanc_url = [], ""
    destination: dict[str, Any] = {
        "kind": "folder",
        "name": "results",
        "path": str(folder / "results"),
    }
    if program := orthanc_program():
        server, orthanc_url = orthanc_part(folder / "orthanc", program)
        servers.append(server)
        destination = {"kind": "orthanc", "name": "orthanc", "url": orthanc_url}
    overrides: dict[str, Any] = {
        "data_dir": str(folder),
        # The organization of verified reports: without one no draft can be accepted.
        "site_name": "Wetread demo",
        "database": {"url": f"sqlite:///{folder / 'wetread.db'}"},
        "receiver": {
            "host": "127.0.0.1",
            "port": free_port(),
            "callers": [{"ae_title": CALLING_AE}],
            # Many public radiographs are distributed as Secondary Captures.
            "storage_classes": [SecondaryCaptureImageStorage],
        },
        "web": {"host": "127.0.0.1", "port": free_port()},
        "destinations": [destination],
    }
    if patients:
        overrides["reading"] = {"demo_reads_patients": True}
    return settings_of(overrides), overrides, servers, orthanc_url


def demo_environment(folder: Path, overrides: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables that give the demo's processes these settings only.

    Args:
        folder: The demo's folder; a configuration file without settings is written to it.
        overrides: The overrides that `demo_settings` returned.
    """
    private_folder(folder / "run")
    file = folder / "run" / "demo.toml"
    file.write_text("# The environment of the demo's processes gives all its settings.\n")
    return {CONFIG: str(file), **as_environment(overrides)}


def demo_folder(base: Settings) -> Path:
    """Return the folder for all files of the demo, `data_dir`/demo."""
    return base.data_dir.absolute() / "demo"


def clear(folder: Path) -> None:
    """Remove the files of an earlier demo, except the model's files and the lock."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name in _KEPT:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def draw_images(folder: Path) -> Iterator[DemoImage]:
    """Draw the demo's synthetic images and yield each once it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, findings in enumerate(_SHOWN, start=1):
        if findings is None:
            phantom, shown = draw_lateral(number), "a lateral image"
        else:
            phantom = draw(number, findings=findings)
            shown = ", ".join(finding.observation.value for finding in findings) or "no finding"
        dataset = as_dataset(phantom)
        path = folder / f"study-{number}.dcm"
        write(dataset, path)
        yield DemoImage(path=path, study_instance_uid=str(dataset.StudyInstanceUID), shown=shown)


def own_images(files: Sequence[Path]) -> Iterator[DemoImage]:
    """Yield the user's images.

    Raises:
        ConfigurationError: A file cannot be read as DICOM; the message names it and the reason.
    """
    for path in files:
        try:
            instance = describe(path)
        except DicomError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        yield DemoImage(path=path, study_instance_uid=instance.study_instance_uid, shown=path.name)


class Demo:
    """One run of the demo over settings that `demo_settings` made."""

    def __init__(self, settings: Settings, members: Sequence[Part], orthanc_url: str) -> None:
        """Take the settings, the parts and Orthanc's URL; create the log file, start nothing yet."""
        private_folder(settings.run_dir)
        self.settings = settings
        self.log_path = settings.run_dir / "demo.log"
        self._output = self.log_path.open("wb")
        self._machine = AllInOne(settings, members, output=self._output)
        self._orthanc_url = orthanc_url
        self._store: Store | None = None

    @property
    def web_url(self) -> str:
        """The URL of the queue's page."""
        return f"http://{self.settings.web.host}:{self.settings.web.port}/"

    def start(self) -> None:
        """Start every part and return once the receiver and the PACS answer.

        Raises:
            WetreadError: One of them does not answer within 90 s; the message names the log file.
        """
        self._machine.start()
        self._store = Store.open(self.settings)
        self._wait(self._receiver_answers, "the receiver")
        if self._orthanc_url:
            self._wait(self._orthanc_answers, "Orthanc")

    def add_accounts(self) -> list[tuple[Role, str, str]]:
        """Add an account for each role; return role, login name and password of each."""
        return list(demo_accounts(self._store)) if self._store else []

    def send(self, images: Sequence[DemoImage]) -> None:
        """Send the images of one Study over one association; also store them in Orthanc, if any.

        Raises:
            DicomError: The receiver cannot be reached or rejects the association.
            WetreadError: The receiver refused an image.
        """
        receiver = self.settings.receiver
        if self._orthanc_url:
            for image in images:
                httpx.post(f"{self._orthanc_url}/instances", content=image.path.read_bytes())
        results = send_files(
            [image.path for image in images],
            host=receiver.host,
            port=receiver.ports[0],
            calling=CALLING_AE,
            called=receiver.ae_title,
        )
        for result in results:
            if not result.stored:
                raise WetreadError(f"{result.path.name} was refused: {result.error}")

    def jobs(self) -> dict[str, Job]:
        """Check the parts once; return the latest job of each Study, by Study Instance UID."""
        self._machine.check_parts()
        found = self._store.jobs(limit=1000) if self._store else ()
        latest: dict[str, Job] = {}
        for job in found:
            known = latest.get(job.study_instance_uid)
            if known is None or known.revision < job.revision:
                latest[job.study_instance_uid] = job
        return latest

    def drafted(self, job: Job) -> JobWithDraft:
        """Return `job` with its draft.

        Raises:
            NotFound: The service does not run.
        """
        if self._store is None:
            raise NotFound("the demo's service does not run")
        return self._store.job(job.id)

    def places(self, job: Job) -> list[str]:
        """Return a line for each place with results of `job`: its files, and the Study in Orthanc."""
        objects = self._store.objects(job.id) if self._store else ()
        lines = [f"{item.kind}: {item.path}" for item in objects]
        if objects and self._orthanc_url:
            answer = httpx.post(
                f"{self._orthanc_url}/tools/lookup", content=job.study_instance_uid
            ).json()
            studies = [item["ID"] for item in answer if item["Type"] == "Study"]
            lines += [
                f"Orthanc: {self._orthanc_url}/app/explorer.html#study?uuid={uid}"
                for uid in studies
            ]
        return lines

    def stop(self) -> None:
        """Stop every part in order."""
        if self._store is not None:
            self._store.close()
        self._machine.stop()
        self._output.close()

    def _wait(self, answers: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not answers():
            self._machine.check_parts()
            if time.monotonic() > deadline:
                raise WetreadError(f"{what} does not answer; its log is {self.log_path}")
            time.sleep(0.05)

    def _receiver_answers(self) -> bool:
        receiver = self.settings.receiver
        try:
            echo(
                receiver.host,
                receiver.ports[0],
                calling=CALLING_AE,
                called=receiver.ae_title,
                timeout=2,
            )
        except DicomError:
            return False
        return True

    def _orthanc_answers(self) -> bool:
        try:
            return httpx.get(f"{self._orthanc_url}/system", timeout=2).is_success
        except httpx.HTTPError:
            return False


def settled(job: Job | None) -> bool:
    """Return whether there is a job and its state is final."""
    return job is not None and job.state in FINAL
