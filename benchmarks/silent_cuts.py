"""Cuts each pair of hosts silently while studies come in, and checks the guarantees.

    python benchmarks/silent_cuts.py [--seconds 60] [--pause 1.0] [--settle 150] [--pairs edge/db,...]
        [--log FILE]

Modality, receiver, database, broker, workers, page and PACS each have a host of their own
(`several_hosts.py`; needs root). While the packets of one pair are dropped, studies go on arriving. The
table has one row for each cut; every broken guarantee follows. Exit status 1 if there is one.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from pydicom.uid import generate_uid
from several_hosts import Hosts, why_not

from dicom.phantom import as_dataset, draw, write
from service.database import schema
from service.store import Store

HOSTS = ("modality", "edge", "db", "broker", "work", "page", "pacs")
PAIRS = (
    "edge/db",
    "edge/broker",
    "work/db",
    "work/broker",
    "work/pacs",
    "page/db",
    "page/broker",
    "modality/edge",
)
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
ANSWER_SECONDS = 10.0
BACK_SECONDS = 15.0
PASSWORD = "of-this-benchmark"  # noqa: S105 - of a site that lives for minutes
# The faults in `/readyz` of the page while the pair is cut.
NAMED = {"page/db": "database", "page/broker": "broker", "work/broker": "broker"}
DICOM, POSTGRESQL, REDIS, ORTHANC, PAGE = 11112, 5432, 6379, 8042, 8100


@dataclass(slots=True)
class Sent:
    """One study and the answer that its sender received."""

    study_uid: str
    at: float
    seconds: float
    acknowledged: bool


@dataclass(slots=True)
class Row:
    """The events while one pair was cut."""

    pair: str
    begun: float
    healed: float = 0.0
    faults: set[str] = field(default_factory=set)
    page_seconds: float = 0.0


class Site:
    """A Wetread on several hosts."""

    def __init__(self, folder: Path, hosts: Hosts) -> None:
        """Take a folder that all hosts share, and the hosts."""
        self.folder, self.hosts = folder, hosts
        # Through the file system: this process is on none of the hosts.
        self.database = f"postgresql+psycopg://wetread@/postgres?host={folder}&port={POSTGRESQL}"
        self.log = (folder / "log").open("ab")
        self.sent: list[Sent] = []
        self._image = as_dataset(draw(7, rows=512, columns=512))

    @contextmanager
    def running(self) -> Iterator["Site"]:
        """Start everything; at the end everything is stopped."""
        with ExitStack() as stack:
            self._databases(stack)
            schema.upgrade(self.database)
            self._configure()
            for host, *arguments in (
                ("edge", "receive"),
                ("work", "worker"),
                ("page", "sweep"),
                ("page", "web"),
            ):
                program = [sys.executable, "-m", "service.cli", *arguments]
                variable = f"WETREAD_CONFIG={self.folder / 'wetread.toml'}"
                self._start(stack, host, "env", variable, *program)
            _until(self._is_up, 120, "the start of the site")
            yield self

    def _start(self, stack: ExitStack, host: str, *command: str) -> None:
        process = subprocess.Popen(
            self.hosts.inside(host, *command),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        stack.callback(_end, process)

    def _databases(self, stack: ExitStack) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        user = ("setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups")
        cluster = self.folder / "cluster"
        initdb = [str(binaries / "initdb"), "-D", str(cluster), "-U", "wetread", "-A", "trust"]
        subprocess.run([*user, *initdb, "--no-sync"], check=True, capture_output=True, cwd="/")
        with (cluster / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.77.0.0/16 trust\n")
        listen = ("-h", self.hosts.address("db"), "-k", str(self.folder), "-p", str(POSTGRESQL))
        quick = ("-c", "fsync=off")
        postgres = (str(binaries / "postgres"), "-D", str(cluster), *listen, *quick)
        self._start(stack, "db", *user, *postgres)
        redis = ("--protected-mode", "no", "--save", "", "--bind", self.hosts.address("broker"))
        self._start(stack, "broker", "redis-server", "--port", str(REDIS), *redis)
        self._start(stack, "pacs", "Orthanc", str(self._orthanc()))
        _until((self.folder / f".s.PGSQL.{POSTGRESQL}").exists, 60, "the start of PostgreSQL")
        time.sleep(2)

    def _orthanc(self) -> Path:
        path = self.folder / "orthanc.json"
        settings = {
            "StorageDirectory": str(self.folder / "orthanc"),
            "IndexDirectory": str(self.folder / "orthanc"),
            "HttpPort": ORTHANC,
            "RemoteAccessAllowed": True,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "OverwriteInstances": False,
        }
        path.write_text(json.dumps(settings))
        return path

    def _configure(self) -> None:
        address = self.hosts.address
        (self.folder / "wetread.toml").write_text(f"""
data_dir = "{self.folder}/data"
database.url = "postgresql+psycopg://wetread@{address("db")}:{POSTGRESQL}/postgres"
broker.url = "redis://{address("broker")}:{REDIS}/0"
[receiver]
host = "{address("edge")}"
port = {DICOM}
min_free_bytes = 0
callers = [{{ ae_title = "MODALITY" }}]
[web]
host = "127.0.0.1"
port = {PAGE}
password = "{PASSWORD}"
[[destinations]]
name = "pacs"
kind = "orthanc"
url = "http://{address("pacs")}:{ORTHANC}"
""")

    def _is_up(self) -> bool:
        text = self.log_text()
        return text.count("worker_ready") >= 2 and "web_list" in text and self.send()

    def log_text(self) -> str:
        """Return the logs of all processes."""
        return (self.folder / "log").read_text(errors="replace")

    def send(self) -> bool:
        """Send one study; return whether it was acknowledged."""
        image = copy.deepcopy(self._image)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(image, keyword, generate_uid())
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        path = self.folder / "image.dcm"
        write(image, path)
        limits = ["-to", "5", "-ta", "30", "-td", "30"]
        peer = ["-aet", "MODALITY", "-aec", "WETREAD", self.hosts.address("edge"), str(DICOM)]
        command = self.hosts.inside("modality", "storescu", "-R", "-xe", *limits, *peer, str(path))
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True)
        seconds = time.monotonic() - begun
        acknowledged = done.returncode == 0
        self.sent.append(Sent(str(image.StudyInstanceUID), begun, seconds, acknowledged))
        return acknowledged

    def readyz(self) -> tuple[set[str], float]:
        """Return the faults in the page's readiness, and how long it took."""
        url = f"http://127.0.0.1:{PAGE}/readyz"
        begun = time.monotonic()
        done = subprocess.run(
            self.hosts.inside("page", "curl", "-s", "-m", "30", "-u", f"admin:{PASSWORD}", url),
            capture_output=True,
        )
        seconds = time.monotonic() - begun
        try:
            return set(json.loads(done.stdout)["faults"]), seconds
        except (ValueError, KeyError):
            return {"no answer"}, seconds

    def drafts(self, study_uid: str) -> int:
        """Return how many drafts of a study the PACS holds."""
        query = {"StudyInstanceUID": study_uid, "SOPClassUID": BASIC_TEXT_SR}
        body = json.dumps({"Level": "Instance", "Query": query})
        url = f"http://{self.hosts.address('pacs')}:{ORTHANC}/tools/find"
        done = subprocess.run(
            self.hosts.inside("pacs", "curl", "-s", "-m", "30", "-d", body, url),
            capture_output=True,
            check=True,
        )
        return len(json.loads(done.stdout))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until(condition: object, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.5)


@contextmanager
def load(site: Site, pause: float) -> Iterator[None]:
    """Send a study every `pause` seconds for the length of the block."""
    stop = Event()

    def send() -> None:
        while not stop.wait(pause):
            site.send()

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def cut(site: Site, pair: str, seconds: float) -> Row:
    """Cut one pair, read the page meanwhile, restore it, and wait until a study is accepted."""
    row = Row(pair, time.monotonic())
    site.hosts.cut(*pair.split("/"))
    while time.monotonic() - row.begun < seconds:
        time.sleep(1)
        faults, took = site.readyz()
        row.faults |= faults
        row.page_seconds = max(row.page_seconds, took)
    site.hosts.heal()
    row.healed = time.monotonic()
    while time.monotonic() - row.healed < BACK_SECONDS:
        time.sleep(0.5)
        if back_after(site, row) < BACK_SECONDS:
            break
    return row


def during(site: Site, row: Row) -> list[Sent]:
    """Return the studies that were sent while the pair was cut."""
    return [each for each in site.sent if row.begun <= each.at < row.healed]


def back_after(site: Site, row: Row) -> float:
    """Return the time from restoring the pair to the first acknowledged study."""
    ends = [each.at + each.seconds for each in site.sent if each.acknowledged]
    return min((end - row.healed for end in ends if end >= row.healed), default=float("inf"))


def broken(site: Site, row: Row) -> Iterator[str]:
    """Yield each guarantee that was broken while a pair was cut."""
    sent = during(site, row)
    longest = max((each.seconds for each in sent), default=0.0)
    if row.pair != "modality/edge" and longest > ANSWER_SECONDS:
        yield f"{row.pair}: an answer took {longest:.1f} s"
    refused = sum(not each.acknowledged for each in sent)
    if row.pair not in {"edge/db", "modality/edge"} and refused:
        yield f"{row.pair}: {refused} studies were refused"
    if (back := back_after(site, row)) > BACK_SECONDS:
        yield f"{row.pair}: the first Success {back:.1f} s after healing"
    if row.page_seconds > ANSWER_SECONDS:
        yield f"{row.pair}: /readyz took {row.page_seconds:.1f} s"
    if (name := NAMED.get(row.pair)) and name not in row.faults:
        yield f"{row.pair}: /readyz did not name {name}"


def misjudged(site: Site, settle: float) -> Iterator[str]:
    """Yield each acknowledged study that has not exactly one draft in the PACS at the end."""
    acknowledged = [each.study_uid for each in site.sent if each.acknowledged]
    deadline = time.monotonic() + settle
    missing = acknowledged
    while missing and time.monotonic() < deadline:
        missing = [uid for uid in missing if site.drafts(uid) == 0]
        time.sleep(2)
    yield from (f"study {uid}: acknowledged, and no draft in the PACS" for uid in missing)
    store = Store(site.database)
    for uid in acknowledged:
        if (count := site.drafts(uid)) > 1 or len(store.jobs(study=uid)) > 1:
            yield f"study {uid}: {count} drafts, {len(store.jobs(study=uid))} jobs"
    store.close()


def show(site: Site, rows: list[Row]) -> None:
    """Print the table."""
    print(f"{'cut':15} sent  acked  longest  back after  /readyz names (slowest answer)")
    for row in rows:
        sent = during(site, row)
        longest = max((each.seconds for each in sent), default=0.0)
        named = ", ".join(sorted(row.faults)) or "nothing"
        print(
            f"{row.pair:15} {len(sent):4} {sum(each.acknowledged for each in sent):6} "
            f"{longest:7.1f}s {back_after(site, row):10.1f}s  {named} ({row.page_seconds:.1f} s)"
        )


def main() -> int:
    """Run; return 1 if a guarantee was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--settle", type=float, default=150.0)
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--log", type=Path, help="Where the log of all processes is kept.")
    options = parser.parse_args()
    if reason := why_not():
        print(f"not run: {reason}")
        return 77
    with tempfile.TemporaryDirectory(prefix="wetread-cuts-") as name, Hosts(HOSTS).up() as hosts:
        folder = Path(name)
        folder.chmod(0o777)
        try:
            with Site(folder, hosts).running() as site:
                with load(site, options.pause):
                    rows = [cut(site, pair, options.seconds) for pair in options.pairs.split(",")]
                faults = [fault for row in rows for fault in broken(site, row)]
                faults += misjudged(site, options.settle)
                show(site, rows)
        finally:
            if options.log:
                options.log.write_bytes((folder / "log").read_bytes())
    print("\n".join(faults))
    print(f"{len(site.sent)} studies sent, {len(faults)} promises broken")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
