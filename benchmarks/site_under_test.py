"""A whole Wetread and an Orthanc on loopback, for the benchmarks."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from dicom.errors import DicomError
from dicom.scu.store_scu import echo
from service.jobs import JobState
from service.records import JobWithDraft
from service.settings.config import as_environment, child_environment, load_settings
from service.store import Store
from service.system.private_servers import free_port, orthanc_part, orthanc_program
from service.system.supervisor import Part, wetread_command

MODALITY = "BENCH"


class SiteUnderTest:
    """Starts both on entering, stops both on leaving; the service's log stays in the folder."""

    def __init__(self, folder: Path) -> None:
        """Take an empty folder."""
        program = orthanc_program()
        if program is None:
            raise SystemExit("this benchmark needs Orthanc on the PATH (apt-get install orthanc)")
        self.port = free_port()
        orthanc, self.orthanc_url = orthanc_part(folder / "orthanc", program)
        overrides = {
            "data_dir": str(folder / "data"),
            "receiver": {
                "host": "127.0.0.1",
                "port": self.port,
                "callers": [{"ae_title": MODALITY}],
            },
            "web": {"port": 0},
            "destinations": [{"kind": "orthanc", "name": "pacs", "url": self.orthanc_url}],
        }
        self.settings = load_settings(**overrides)
        up = Part(
            name="wetread", command=wetread_command("up"), environment=as_environment(overrides)
        )
        self._log = (folder / "log").open("wb")
        self._parts = [orthanc, up]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start Orthanc, then Wetread; return when both answer."""
        for part in self._parts:
            self._processes.append(
                subprocess.Popen(
                    part.command,
                    env=child_environment(**part.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                )
            )
        self._wait(self._answer)
        self.store = Store.open(self.settings)
        self._wait(lambda: any("reading" in beat.role for beat in self.store.processes()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both in order."""
        self.store.close()
        for process in reversed(self._processes):
            process.terminate()
            process.wait(60)
        self._log.close()

    def completed(self, study: str) -> JobWithDraft:
        """Return the study's job once it is COMPLETED."""
        deadline = time.monotonic() + 60
        while True:
            jobs = self.store.jobs(study=study, limit=1)
            if jobs and jobs[0].state is JobState.COMPLETED:
                return self.store.job(jobs[0].id)
            if time.monotonic() > deadline:
                raise SystemExit(f"{study} is not completed: {jobs}")
            time.sleep(0.01)

    def _answer(self) -> bool:
        try:
            httpx.get(f"{self.orthanc_url}/system").raise_for_status()
            echo("127.0.0.1", self.port, calling=MODALITY, called="WETREAD", timeout=2)
        except (httpx.HTTPError, DicomError):
            return False
        return True

    def _wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline:
                raise SystemExit("the service did not start within 60 s")
            time.sleep(0.05)
