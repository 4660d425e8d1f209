"""Measure the service's overhead: from association release to the draft read back from Orthanc.

    python benchmarks/overhead.py [--studies 100] [--size 1024]

Starts a whole Wetread (`wetread up`, tiny model) and a real Orthanc on loopback, sends synthetic
studies of one image each, and watches Orthanc's change log until it holds each draft report. The time
inside the model, which the draft itself records, is taken off. First one study after another, then
all at once. Peers wait 6 s (MONAI Deploy) to 60 s (mercure) before they begin (docs/performance.md).
"""

import argparse
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from site_under_test import MODALITY, SiteUnderTest

from dicom.phantom import as_dataset, draw, write
from dicom.scu.association import Peer, associate
from dicom.scu.store_scu import Part10File
from service.jobs import JobState
from service.records import JobEvent

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"


@dataclass
class Arrivals(threading.Thread):
    """Notes when each study's draft report can be read from Orthanc."""

    url: str
    seen: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Follow the change log."""
        since = 0
        # Orthanc closes an idle connection at once; a new one is cheap on loopback.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=self.url, limits=limits) as client:
            while True:
                try:
                    answer = client.get("/changes", params={"since": since, "limit": 100}).json()
                except httpx.TransportError:
                    return  # Orthanc was stopped: the benchmark is over
                for change in answer["Changes"]:
                    if change["ChangeType"] == "NewInstance":
                        self._note(client, change["ID"])
                since = answer["Last"]
                if answer["Done"]:
                    time.sleep(0.003)

    def _note(self, client: httpx.Client, instance: str) -> None:
        tags = client.get(f"/instances/{instance}/simplified-tags").json()
        if tags["SOPClassUID"] == BASIC_TEXT_SR:
            client.get(f"/instances/{instance}/file").raise_for_status()
            self.seen[tags["StudyInstanceUID"]] = time.monotonic()

    def wait_for(self, study: str, seconds: float = 120.0) -> float:
        """Return when the study's draft was read."""
        deadline = time.monotonic() + seconds
        while study not in self.seen:
            if time.monotonic() > deadline:
                raise SystemExit(f"no draft of {study} within {seconds} s")
            time.sleep(0.001)
        return self.seen[study]


def send(port: int, path: Path) -> float:
    """Send one image; return the moment at which the release was requested."""
    peer = Peer(host="127.0.0.1", port=port, called="WETREAD", calling=MODALITY)
    with associate(peer, Part10File.read(path).contexts()) as association:
        status = association.send_c_store(path)
        if status.Status != 0:
            raise SystemExit(f"{path}: status 0x{status.Status:04X}")
        return time.monotonic()


def images(folder: Path, count: int, size: int, first_seed: int) -> dict[str, Path]:
    """Draw studies of one image each."""
    made = {}
    for seed in range(first_seed, first_seed + count):
        dataset = as_dataset(draw(seed, rows=size, columns=size))
        path = folder / f"{seed}.dcm"
        write(dataset, path)
        made[str(dataset.StudyInstanceUID)] = path
    return made


def one_after_another(
    site: SiteUnderTest, arrivals: Arrivals, studies: dict[str, Path]
) -> dict[str, float]:
    """Return the milliseconds from release to draft of each study, sent when the last has arrived."""
    taken = {}
    for study, path in studies.items():
        released = send(site.port, path)
        taken[study] = 1000 * (arrivals.wait_for(study) - released)
    return taken


def at_once(site: SiteUnderTest, arrivals: Arrivals, studies: dict[str, Path]) -> dict[str, float]:
    """Return the milliseconds from release to draft of each study, all sent together."""
    with ThreadPoolExecutor(16) as pool:
        released = dict(
            zip(
                studies, pool.map(lambda path: send(site.port, path), studies.values()), strict=True
            )
        )
    return {study: 1000 * (arrivals.wait_for(study) - moment) for study, moment in released.items()}


def stages(events: list[JobEvent], timings: dict[str, float]) -> dict[str, float]:
    """Return where the time of one job went, in milliseconds."""
    first = {event.to_state: event.at for event in reversed(events)}
    scheduled, claimed = first[JobState.SCHEDULED], first[JobState.IN_PROGRESS]
    drafted, completed = first[JobState.DRAFTED], first[JobState.COMPLETED]
    reading = 1000 * (drafted - claimed).total_seconds()
    named = {f"  {name}": value for name, value in timings.items()}
    return {
        "scheduled to claimed": 1000 * (claimed - scheduled).total_seconds(),
        "reading": reading,
        **named,
        "  rest": reading - sum(timings.values()),
        "drafted to confirmed": 1000 * (completed - drafted).total_seconds(),
    }


def report(title: str, site: SiteUnderTest, taken: dict[str, float]) -> None:
    """Print median and 95th percentile without the model, and where the time went."""
    overhead, parts = [], []
    for study, milliseconds in taken.items():
        job = site.completed(study)
        model = job.draft.timings_ms["model"]
        overhead.append(milliseconds - model)
        parts.append(stages(site.store.events(job.id), job.draft.timings_ms))
    cuts = statistics.quantiles(overhead, n=20)
    print(f"\n{title}: {len(taken)} studies")
    print(
        f"  overhead: median {statistics.median(overhead):.0f} ms, 95th percentile {cuts[18]:.0f} ms,"
        f" longest {max(overhead):.0f} ms"
    )
    for name in parts[0]:
        values = [part[name] for part in parts]
        print(f"  {name:<24} median {statistics.median(values):7.1f} ms")


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--studies", type=int, default=100)
    options.add_argument("--size", type=int, default=1024, help="rows and columns of each image")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = images(folder, chosen.studies, chosen.size, 1)
        second = images(folder, chosen.studies, chosen.size, 100_001)
        warm = images(folder, 3, chosen.size, 200_001)
        with SiteUnderTest(folder / "site") as site:
            arrivals = Arrivals(site.orthanc_url)
            arrivals.start()
            one_after_another(site, arrivals, warm)
            report("one after another", site, one_after_another(site, arrivals, first))
            begun = time.monotonic()
            taken = at_once(site, arrivals, second)
            elapsed = time.monotonic() - begun
            report("all at once", site, taken)
            print(f"  throughput: {chosen.studies / elapsed:.1f} studies/s")


if __name__ == "__main__":
    main()
