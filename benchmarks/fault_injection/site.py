"""A whole Wetread with its database, broker and PACS, each of which can be broken by itself."""

import contextlib
import functools
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import redis

from dicom.errors import DicomError
from dicom.scu.store_scu import echo
from fault_injection.clock import WallClock
from fault_injection.disk import SmallDisk
from fault_injection.programs import Postgres, Program, wait_for
from fault_injection.proxy import Proxy
from fault_injection.second_pacs import AE_TITLE, SecondPacs
from service.errors import StoreError
from service.jobs import DeliveryState, JobState
from service.settings.config import as_environment, child_environment, load_settings
from service.store import Store
from service.system.private_servers import free_port, orthanc_part, orthanc_program, redis_part
from service.system.supervisor import wetread_command
from service.tokens import Scope, mint

CALLING: Final = ("ROOM1", "ROOM2", "ROOM3", "ROOM4")
PARTS: Final = {
    "receive": "service.cli receive",
    "worker-reading": "worker --queues reading",
    "worker-delivery": "worker --queues delivery",
    "sweep": "service.cli sweep",
    "web": "service.cli web",
    "receive-web": "service.cli receive-web",
}
DECODERS: Final = "decoders"
RECEIVERS: Final = "one of the receivers"
# Parts for which the site can determine whether they have work in hand.
BUSY: Final = frozenset(
    {"receive", RECEIVERS, "receive-web", "worker-reading", DECODERS, "worker-delivery"}
)
PACS: Final = "pacs"
SECOND: Final = "second"
_RESTART_SECONDS: Final = 1.0
_SENDING: Final = DeliveryState.SENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The kind of a site.

    Attributes:
        database: "sqlite" or "postgresql".
        scale: Of its time limits.
        receivers: Receiver processes on one port.
        has_own_network: Whether packets can be dropped here, see `silent_cut`.
        second_timeout: Seconds that a silent second PACS delays its results; not scaled.
    """

    database: str
    scale: float
    receivers: int = 1
    has_own_network: bool = False
    second_timeout: float = 30.0


class Site:
    """Everything on loopback; `wetread up` is started again when it ends, as systemd would."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Prepare it in an empty folder; nothing runs yet."""
        folder.chmod(0o755)  # PostgreSQL's user must be able to enter
        self.folder = folder
        self.plan = plan
        self.disk = SmallDisk(folder / "disk")
        self.port, self.stow_port = free_port(), free_port()
        self.stow_url = f"http://127.0.0.1:{self.stow_port}/dicom-web/studies"
        self.tokens: dict[str, str] = {}
        self._sending: Counter[str] = Counter()
        self.postgres = Postgres(folder / "postgres") if plan.database == "postgresql" else None
        part, self.redis_url = redis_part(folder / "redis")
        self.redis = Program(part, folder / "redis.log", self._redis_answers)
        self.orthanc = self._orthanc()
        self.proxy = Proxy(self.orthanc_url)
        self.second = SecondPacs()
        self.clock = WallClock(folder)
        self.overrides = self._overrides()
        self.settings = load_settings(**self.overrides)
        self.ends_by_itself = 0
        self._up: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_up, name="keeper", daemon=True)

    def _orthanc(self) -> Program:
        program = orthanc_program()
        if program is None:
            raise SystemExit("this needs Orthanc on the PATH (apt-get install orthanc)")
        part, self.orthanc_url = orthanc_part(self.folder / "orthanc", program)
        return Program(part, self.folder / "orthanc.log", self._orthanc_answers)

    def _overrides(self) -> dict[str, Any]:
        scale = self.plan.scale
        database: dict[str, Any] = {"busy_seconds": max(1.0, 20 * scale)}
        if self.postgres is not None:
            database["url"] = self.postgres.url
        return {
            "data_dir": str(self.disk.folder / "data"),
            "receiver": {
                "host": "127.0.0.1",
                "port": self.port,
                "processes": self.plan.receivers,
                "callers": [{"ae_title": name} for name in CALLING],
                "min_free_bytes": 2**18,
                "stop_seconds": 30 * scale,
            },
            "stow": {"port": self.stow_port},
            "reading": {"model": "tiny", "max_new_tokens": 8, "lease_seconds": 60 * scale},
            "outputs": {"overlay_width": 512},
            "delivery": {
                "lease_seconds": 120 * scale,
                # Fewer threads than a silent destination could occupy without a limit.
                "concurrency": 4,
                "retry_seconds": 2 * scale,
                "retry_max_seconds": 60 * scale,
            },
            "sweep": {"republish_seconds": 15 * scale},
            "destinations": [
                {"kind": "orthanc", "name": PACS, "url": self.proxy.url, "timeout": 30 * scale},
                {
                    "kind": "dimse",
                    "name": SECOND,
                    "host": "127.0.0.1",
                    "port": self.second.link.port,
                    "ae_title": AE_TITLE,
                    "timeout": self.plan.second_timeout,
                    "max_in_flight": 8,
                },
            ],
            "database": database,
            "broker": {"url": self.redis_url},
            "web": {"port": 0},
        }

    def start(self) -> None:
        """Start everything; wait until images are accepted."""
        if self.postgres is not None:
            self.postgres.start()
        self.redis.start()
        self.orthanc.start()
        self._keeper.start()
        wait_for(self.answers, what="the receiver's answer")
        wait_for(self._reads, what="the reading worker")
        for calling in CALLING:
            self.tokens[calling] = self._token(calling)
        wait_for(self._takes_stow, what="the STOW-RS endpoint")

    def _token(self, calling: str) -> str:
        value, credential = mint()
        self.store.add_token(
            credential,
            name=calling,
            scopes=frozenset({Scope.STOW}),
            ae_title=calling,
            expires_at=None,
            actor="faults",
        )
        return value

    @functools.cached_property
    def store(self) -> Store:
        """The site's database, which exists once the site has started."""
        if self.postgres is None:
            return Store.open(self.settings)
        # Through the file system, so that a cut of the port does not affect it.
        return Store(self.postgres.socket_url, busy_seconds=self.settings.database.busy_seconds)

    def _reads(self) -> bool:
        ready = [beat.role for beat in self.store.processes() if beat.detail == "ready"]
        return {"reading", "delivery"} <= set(ready)

    def stop(self) -> None:
        """Stop everything in order; nothing is left running."""
        self._closing.set()
        if self._up is not None:
            self._up.terminate()
        if self._keeper.ident is not None:
            self._keeper.join()
        if "store" in vars(self):
            self.store.close()
        for process in self.strays():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.proxy.close()
        self.second.close()
        self.redis.stop()
        self.orthanc.stop()
        if self.postgres is not None:
            self.postgres.kill()
        self.disk.remove()

    def answers(self) -> bool:
        """Return whether the receiver answers C-ECHO."""
        try:
            echo("127.0.0.1", self.port, calling=CALLING[0], called="WETREAD", timeout=2)
        except DicomError:
            return False
        return True

    @contextlib.contextmanager
    def sending(self, endpoint: str) -> Iterator[None]:
        """Make `has_work` count the senders of this part."""
        self._sending[endpoint] += 1
        try:
            yield
        finally:
            self._sending[endpoint] -= 1

    def has_work(self, part: str) -> bool:
        """Return whether a part has work that its end would interrupt; False if unknown."""
        with contextlib.suppress(StoreError):
            if part in ("worker-reading", DECODERS):
                return self.store.counts()[JobState.IN_PROGRESS] > 0
            if part == "worker-delivery":
                return any(state is _SENDING for _, state in self.store.delivery_counts())
        return self._sending["receive" if part == RECEIVERS else part] > 0

    def processes(self, part: str) -> list[psutil.Process]:
        """Return the processes of a part ("receive", "up"), none while it does not run."""
        if part == DECODERS:
            return self._decoders()
        up = self._up
        with contextlib.suppress(psutil.NoSuchProcess):
            if up is None or up.poll() is not None:
                return []
            own = psutil.Process(up.pid)
            if part == "up":
                return [own]
            if part == RECEIVERS:
                return [child for each in self.processes("receive") for child in each.children()]
            return [each for each in own.children() if _command_line(each).endswith(PARTS[part])]
        return []

    def _decoders(self) -> list[psutil.Process]:
        """Return the processes in which the reading worker decodes images, and their parent."""
        with contextlib.suppress(psutil.NoSuchProcess):
            workers = self.processes("worker-reading")
            return [child for each in workers for child in each.children(recursive=True)]
        return []

    def strays(self) -> list[psutil.Process]:
        """Return the processes of the service that have lost their `wetread up`."""
        up = self._up
        held = {up.pid} if up is not None and up.poll() is None else set()
        with contextlib.suppress(psutil.NoSuchProcess):
            held |= {child.pid for pid in held for child in psutil.Process(pid).children(True)}
        here = str(self.disk.folder.parent / "cwd")
        return [
            each for each in psutil.process_iter() if each.pid not in held and _cwd(each) == here
        ]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `wetread ARGUMENTS` with this site's settings; return its result."""
        return subprocess.run(
            wetread_command(*arguments),
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
        )

    def log(self) -> str:
        """Return the log of the service."""
        return (self.folder / "log").read_text(errors="replace")

    def _environment(self) -> dict[str, str]:
        return child_environment(**as_environment(self.overrides), **self.clock.environment)

    def _keep_up(self) -> None:
        """Start `wetread up` again a second after its end, until we close."""
        folder = self.folder / "cwd"
        folder.mkdir()
        while not self._closing.is_set():
            with (self.folder / "log").open("ab") as log:
                self._up = subprocess.Popen(
                    wetread_command("up"),
                    env=self._environment(),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            status = self._up.wait()
            self.ends_by_itself += status > 0
            self._closing.wait(_RESTART_SECONDS)

    def _takes_stow(self) -> bool:
        """Return whether the STOW-RS endpoint refuses requests without a token."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.post(self.stow_url, timeout=2).status_code == httpx.codes.UNAUTHORIZED
        return False

    def _redis_answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.redis_url) as client:
            return bool(client.ping())
        return False

    def _orthanc_answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.orthanc_url}/system", timeout=2).is_success
        return False


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd() if process.pid != os.getpid() else ""
    except psutil.Error:
        return ""
