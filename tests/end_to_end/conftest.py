"""A whole Wetread as `wetread up` runs it, with DCMTK as the modality and Orthanc as the PACS."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from service.jobs import FINAL, JobState
from service.records import Job, JobWithDraft
from service.settings.config import load_settings
from service.store import Store
from tests.servers import ended_with_us, take_free_port

MODALITY = "MODALITY"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MULTIFRAME_BYTE_SC = "1.2.840.10008.5.1.4.1.1.7.2"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"

# Options of storescu for a file's own transfer syntax; it never transcodes.
_PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of one call of storescu."""

    returncode: int
    output: str

    @property
    def acknowledged(self) -> bool:
        """Whether every file was answered with Success."""
        return self.returncode == 0


class Site:
    """A running Wetread in a folder of its own, and what a test does to it."""

    propose = _PROPOSE

    def __init__(self, folder: Path, port: int, overrides: dict[str, Any]) -> None:
        self.folder = folder
        self.port = port
        self.overrides = {
            "data_dir": str(folder / "data"),
            "receiver": {
                "host": "127.0.0.1",
                "port": port,
                "callers": [{"ae_title": MODALITY}],
                "storage_classes": [SECONDARY_CAPTURE, MULTIFRAME_BYTE_SC],
                "min_free_bytes": 0,
            },
            "web": {"port": 0},
            **overrides,
            # Many of the images sent are real ones, and the model is the demo's.
            "reading": {"demo_reads_patients": True, **overrides.get("reading", {})},
        }
        self.settings = load_settings(**self.overrides)
        self.process: subprocess.Popen[bytes] | None = None
        self._store: Store | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that select this site for a `wetread` command."""
        from service.settings.config import as_environment  # noqa: PLC0415 - reads best where it is used

        return {**os.environ, **as_environment(self.overrides)}

    @property
    def store(self) -> Store:
        """The site's database, opened once."""
        if self._store is None:
            self._store = Store.open(self.settings)
        return self._store

    def start(self) -> "Site":
        """Start `wetread up` and return once its receiver answers C-ECHO."""
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            ended_with_us([sys.executable, "-m", "service.cli", "up"], signal.SIGTERM),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.until(self.answers, seconds=60, what="the receiver's answer")
        return self

    def stop(self) -> None:
        """Stop it as an admin would; no process may need to be killed."""
        if self._store is not None:
            self._store.close()
            self._store = None
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def log(self) -> str:
        """Return what all processes wrote so far."""
        return (self.folder / "log").read_text(errors="replace")

    def until(self, condition: Callable[[], Any], *, seconds: float, what: str) -> None:
        """Return once `condition` holds; fail with the end of the log when it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{what}: not within {seconds} s\n{self.log()[-6000:]}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Return whether the receiver answers C-ECHO."""
        command = ["echoscu", "-to", "2", "-aet", MODALITY, "-aec", "WETREAD", "127.0.0.1"]
        return subprocess.run([*command, str(self.port)], capture_output=True).returncode == 0

    def store_scu(self, *paths: Path, calling: str = MODALITY) -> Sent:
        """Send files over one association with DCMTK's storescu, in their own transfer syntax."""
        meta = dcmread(paths[0], stop_before_pixels=True, force=True).file_meta
        syntax = meta.get("TransferSyntaxUID")
        how = [_PROPOSE[str(syntax)]] if syntax is not None else ["--read-dataset", "-xi"]
        command = ["storescu", "-v", "-R", *how, "-aet", calling, "-aec", "WETREAD", "127.0.0.1"]
        done = subprocess.run(
            [*command, str(self.port), *map(str, paths)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )
        return Sent(done.returncode, done.stdout + done.stderr)

    def jobs(self, study: str | None = None) -> list[Job]:
        """Return the jobs, of one study or all, the oldest first."""
        found = self.store.jobs(study=study, limit=10_000)
        return sorted(found, key=lambda job: (job.created_at, job.revision))

    def settled(self, study: str, *, revision: int = 1, seconds: float = 90.0) -> JobWithDraft:
        """Return the study's job of that revision once its state is final."""

        def now() -> Job | None:
            jobs = [job for job in self.jobs(study) if job.revision == revision]
            return jobs[0] if jobs and jobs[0].state in FINAL else None

        self.until(now, seconds=seconds, what=f"the end of revision {revision} of {study}")
        job = now()
        assert job is not None
        return self.store.job(job.id)

    def completed(self, study: str, *, revision: int = 1) -> JobWithDraft:
        """Return the study's job, which must have become COMPLETED."""
        job = self.settled(study, revision=revision)
        assert job.state is JobState.COMPLETED, f"{job.state} {job.reason}\n{self.log()[-6000:]}"
        return job

    def pids(self, part: str) -> list[int]:
        """Return the process ids of one part ("receive", "worker-reading", "redis" ...)."""
        needle = {
            "worker-reading": "worker --queues reading",
            "worker-delivery": "worker --queues delivery",
            "redis": "redis-server",
        }.get(part, f"service.cli {part}")
        assert self.process is not None
        children = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        return [int(line.split()[0]) for line in children if needle in line]

    def kill(self, part: str) -> None:
        """Kill one part as a crash would."""
        pids = self.pids(part)
        assert pids, f"{part} does not run"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `wetread` command against this site."""
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="session")
def in_orthanc(tmp_path_factory) -> Callable[..., dict[str, FileDataset]]:
    """A function: Orthanc, Study Instance UID -> the study's instances there by SOP Instance UID."""
    folder = tmp_path_factory.mktemp("from-orthanc")

    def fetch(orthanc, study: str) -> dict[str, FileDataset]:
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study}, "Expand": False}
        request = urllib.request.Request(  # noqa: S310
            f"{orthanc.url}/tools/find", data=json.dumps(query).encode()
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            identifiers = json.load(answer)
        found = {}
        for identifier in identifiers:
            url = f"{orthanc.url}/instances/{identifier}/file"
            with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310
                path = folder / f"{identifier}.dcm"
                path.write_bytes(answer.read())
            dataset = dcmread(path)
            found[str(dataset.SOPInstanceUID)] = dataset
        return found

    return fetch


@pytest.fixture(scope="session")
def in_pacs(orthanc, in_orthanc) -> Callable[[str], dict[str, FileDataset]]:
    """A function: Study Instance UID -> the study's instances in the session's Orthanc."""
    return functools.partial(in_orthanc, orthanc)


@pytest.fixture(scope="session")
def site_class() -> type[Site]:
    """The class whose objects are Wetreads, for a test that breaks its own."""
    for program in ("storescu", "echoscu"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} (dcmtk) is not installed")
    return Site


@pytest.fixture(scope="session")
def site(site_class, orthanc, tmp_path_factory) -> Iterator[Site]:
    """One Wetread for the session, delivering to the session's Orthanc."""
    overrides = {"destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}]}
    running = site_class(tmp_path_factory.mktemp("site"), take_free_port(), overrides)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def own_study(tmp_path_factory) -> Callable[[Path], Path]:
    """A function: an image -> a copy under UIDs of its own, its pixels untouched.

    Several of the real images are the same SOP Instance in other encodings; the service rightly keeps
    those apart, so each is sent as a study of its own.
    """
    folder = tmp_path_factory.mktemp("images")

    def copy(path: Path) -> Path:
        from dicom.identifiers import derived_uid  # noqa: PLC0415

        dataset = dcmread(path, force=True)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, keyword, UID(derived_uid("test", path.name, keyword)))
        if "MediaStorageSOPInstanceUID" in dataset.file_meta:
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        target = folder / path.name
        dataset.save_as(target)
        return target

    return copy
