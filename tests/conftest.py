"""The real servers that the tests run against, each started at most once and always stopped.

A server whose program is not installed skips the tests that ask for it, saying so. A test that must
kill or restart a server takes its class from the fixtures `orthanc_server_class`, `redis_server_class`
or `postgres_server_class` and starts one of its own.
"""

import base64
import contextlib
import fcntl
import gc
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import httpx
import psutil
import psycopg
import pytest

from dicom.content.report import Observation, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, draw_lateral, inverted, write
from service.database import schema
from service.store import Store

REPOSITORY = Path(__file__).parents[1]

# pynetdicom puts an `echoscu`, a `storescp` and others of DCMTK's names beside our interpreter: with
# that folder on the PATH the tests would run those instead of DCMTK's.
os.environ["PATH"] = os.pathsep.join(
    folder
    for folder in os.environ.get("PATH", "").split(os.pathsep)
    if Path(folder) != Path(sys.prefix) / "bin"
)
MARKED_BY_FIXTURE = {
    "orthanc": "orthanc",
    "storescp": "dcmtk",
    "dcmtk": "dcmtk",
    "postgres": "postgres",
}


# Folders whose tests each load the whole machine.
SERIAL_FOLDERS = ("ohif",)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers that it asks for and by its folder; put long files first.

    A run in several processes gives out whole files in this order: a long file at the end would be
    waited for by all others.
    """
    for item in items:
        servers = {name.split("_")[0] for name in getattr(item, "fixturenames", ())}
        for marker in {MARKED_BY_FIXTURE[server] for server in servers & set(MARKED_BY_FIXTURE)}:
            item.add_marker(marker)
        if set(SERIAL_FOLDERS) & set(item.path.parts[len(REPOSITORY.parts) :]):
            item.add_marker("serial")
    long_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long_files)


def pytest_collection_finish() -> None:
    """Exempt the modules and tests of this process from garbage collection: they live until its end."""
    gc.collect()
    gc.freeze()


def find_program(*names: str) -> str:
    """Return the path of the first program that is installed, or skip the test."""
    for name in names:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found:
            return found
    pytest.skip(f"{' or '.join(names)} is not installed")


# Below the range from which Linux takes the ports of outgoing connections and of a bind to port 0.
TEST_PORTS = range(20000, 32000)


def take_free_port() -> int:
    """Return a free TCP port of the loopback interface that no other test process has been given.

    The processes of one machine count through `TEST_PORTS` together, in a locked file: a port is given
    out again only after all others, so nothing takes it between this call and the start of its server.
    """
    counter = Path(tempfile.gettempdir()) / f"wetread-test-ports-{os.geteuid()}"
    with counter.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = int(file.read() or 0)
        port = next(each for each in _ports_from(number) if _can_be_bound(each))
        file.truncate(0)
        file.write(str(port + 1))
    return port


def _ports_from(number: int) -> Iterator[int]:
    first = number if number in TEST_PORTS else TEST_PORTS.start
    yield from range(first, TEST_PORTS.stop)
    yield from range(TEST_PORTS.start, first)


def _can_be_bound(port: int) -> bool:
    with socket.socket() as listener, contextlib.suppress(OSError):
        listener.bind(("127.0.0.1", port))
        return True
    return False


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return once `condition` holds; fail the test when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


class Server:
    """One program listening on loopback, in a folder of its own; may be started again after a stop.

    Attributes:
        folder: Where its configuration, its state and `log` lie.
        port: Where it listens.
    """

    host = "127.0.0.1"
    stop_signal = signal.SIGTERM
    # At the end of a `with` block nobody needs its state any more: an orderly stop of Orthanc takes 3 s.
    exit_signal = signal.SIGKILL

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = take_free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self.exit_signal)

    def command(self) -> list[str]:
        """Return the command line that starts it."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether it can be used."""
        return _accepts(self.port)

    def start(self) -> None:
        """Start it and return once it answers."""
        # The kernel ends the server should the test run itself be killed.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = self.command()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*guard, *command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TCP_NODELAY": "1"},
            )
        wait_until(self._up, seconds=60, what=f"start of {command[0]}")

    def _up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            log = (self.folder / "log").read_text(errors="replace")[-2000:]
            pytest.fail(f"{self.process.args} ended with {self.process.returncode}:\n{log}")
        return self.answers()

    def stop(self) -> None:
        """Stop it in its orderly way; kill it when that takes longer than 20 seconds."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, with_signal: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(with_signal)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class SilentProxy:
    """A TCP proxy on loopback whose connections can go silent: kept open, nothing is forwarded.

    So does a firewall that forgets connections; the kernel of the peer goes on acknowledging bytes.

    Attributes:
        port: Where it listens.
        silent_after: A connection that has sent this goes silent; none does when empty.
    """

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._generation = 0
        self._takes_silently = False
        self.silent_after = b""
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, new_too: bool = False) -> None:
        """Let the connections that are open go silent, for good; later ones too until `heal`."""
        self._takes_silently = new_too
        self._generation += 1

    def heal(self) -> None:
        """Forward what comes on new connections."""
        self._takes_silently = False

    def close(self) -> None:
        """Close everything."""
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._takes_silently:
                    continue
                server = socket.create_connection(self._target)
                self._sockets.append(server)
                state = {"silent": False}
                for ends in ((client, server), (server, client)):
                    pump = (*ends, self._generation, state)
                    threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, born: int, state: dict[str, bool]
    ) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                if self.silent_after and self.silent_after in received:
                    state["silent"] = True
                if born == self._generation and not state["silent"]:
                    sink.sendall(received)
            if born == self._generation and not state["silent"]:
                sink.shutdown(socket.SHUT_WR)


class OrthancServer(Server):
    """An Orthanc with its DICOMweb plugin where that is installed.

    Attributes:
        port: Of the REST API and of DICOMweb.
        dicom_port: Of C-ECHO, C-STORE and C-FIND; any calling AE title may use them.
        users: User names and passwords; without any there is no authentication.
    """

    ae_title = "ORTHANC"

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None) -> None:
        super().__init__(folder)
        self.dicom_port = take_free_port()
        self.users = users or {}

    @property
    def url(self) -> str:
        """Root of the REST API, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicomweb_url(self) -> str:
        """Root of DICOMweb, without a slash at its end."""
        return f"{self.url}/dicom-web"

    def command(self) -> list[str]:
        """Return the command line, after writing the configuration that it names."""
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self.configuration()))
        return [find_program("Orthanc"), str(configuration)]

    def configuration(self) -> dict[str, object]:
        """Return Orthanc's settings: on loopback, quick, never overwriting."""
        plugins = Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so")
        return {
            "Name": "tests",
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.port,
            "RemoteAccessAllowed": bool(self.users),
            "AuthenticationEnabled": bool(self.users),
            "RegisteredUsers": self.users,
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomCheckCalledAet": True,
            "UnknownSopClassAccepted": False,
            "OverwriteInstances": False,
            "StableAge": 1,
            "ConcurrentJobs": 1,
            "Plugins": [str(plugin) for plugin in plugins],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }

    def answers(self) -> bool:
        """Return whether both of its ports can be used."""
        try:
            with urllib.request.urlopen(f"{self.url}/system", timeout=2):  # noqa: S310 - loopback
                return _accepts(self.dicom_port)
        except urllib.error.HTTPError as error:
            return error.code == 401 and _accepts(self.dicom_port)
        except OSError:
            return False


class RedisServer(Server):
    """A Redis (or Valkey) that keeps nothing on disk unless it is told to by `durable`."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        super().__init__(folder)
        self.durable = durable

    @property
    def url(self) -> str:
        """Redis URL of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Return the command line."""
        program = find_program("redis-server", "valkey-server")
        keep = ["--appendonly", "yes"] if self.durable else ["--save", "", "--appendonly", "no"]
        return [program, "--port", str(self.port), "--bind", "127.0.0.1", *keep]


class PostgresServer(Server):
    """A PostgreSQL cluster, as the user `postgres` where we are root, which it refuses to run as."""

    stop_signal = signal.SIGINT  # "fast": ends sessions, keeps what was committed
    exit_signal = signal.SIGQUIT  # "immediate": its children end with it

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cluster = folder / "cluster"
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")

    def _as_its_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        user = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        return [find_program("setpriv"), *user, "--pdeathsig", "KILL"]

    @staticmethod
    def _program(name: str) -> str:
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return str(versions[-1]) if versions else find_program(name)

    def command(self) -> list[str]:
        """Return the command line, after making the cluster the first time."""
        if not self.cluster.exists():
            self._initialise()
        # No synchronous_commit=off: what was committed must outlive kill(). The system's cache does.
        quick = ["fsync=off", "full_page_writes=off", "shared_buffers=16MB"]
        place = [f"port={self.port}", f"unix_socket_directories={self.folder}"]
        settings = [word for setting in (*quick, *place) for word in ("-c", setting)]
        return [
            *self._as_its_user(),
            self._program("postgres"),
            *("-D", str(self.cluster), "-h", "127.0.0.1", *settings),
        ]

    def kill(self) -> None:
        """Kill it with its sessions, which would outlive it for an instant and commit what comes."""
        sessions = psutil.Process(self.process.pid).children() if self.process else []
        super().kill()
        for session in sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()
        psutil.wait_procs(sessions, 20)

    def _initialise(self) -> None:
        subprocess.run(
            [
                *self._as_its_user(),
                self._program("initdb"),
                *("-D", str(self.cluster), "-U", "wetread", "-E", "UTF8", "--locale=C.UTF-8"),
                *("--auth=trust", "--no-sync", "--no-instructions"),
            ],
            check=True,
            cwd=self.folder,
            capture_output=True,
        )

    def answers(self) -> bool:
        """Return whether it takes connections."""
        with contextlib.suppress(psycopg.Error):
            psycopg.connect(self._conninfo(), connect_timeout=2).close()
            return True
        return False

    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=wetread dbname=postgres"

    def new_database(self, *, template: str = "template1") -> str:
        """Make a database, a copy of the one named `template`, and return its SQLAlchemy URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return f"postgresql+psycopg://wetread@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """The function `find_program(name, …)`: the path of the first that is installed, or a skip."""
    return find_program


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that returns a free loopback port."""
    return take_free_port


@pytest.fixture
def eventually() -> Callable[..., None]:
    """The function `wait_until(condition, seconds=…, what=…)`."""
    return wait_until


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the repository; read-only."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real images (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs one of DCMTK's programs to its end and returns what it said."""
    programs = {name: find_program(name) for name in ("dcmsend", "echoscu", "storescu")}

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs[name], *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "TCP_NODELAY": "1"},
        )

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 2 MiB of its own."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def silent_proxy() -> Iterator[Callable[[int], SilentProxy]]:
    """A function: port of a server -> a proxy before it whose connections can go silent."""
    made: list[SilentProxy] = []

    def start(target: int) -> SilentProxy:
        made.append(SilentProxy(target))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def orthanc_server_class() -> type[OrthancServer]:
    """The class whose objects are Orthancs, for a test that must kill its own."""
    find_program("Orthanc")
    return OrthancServer


@pytest.fixture(scope="session")
def redis_server_class() -> type[RedisServer]:
    """The class whose objects are Redis servers, for a test that must kill its own."""
    find_program("redis-server", "valkey-server")
    return RedisServer


@pytest.fixture(scope="session")
def postgres_server_class() -> type[PostgresServer]:
    """The class whose objects are PostgreSQL clusters, for a test that must kill its own.

    Its folder must be one that every user may enter: `postgres_folder`, not `tmp_path`.
    """
    PostgresServer._program("postgres")
    return PostgresServer


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """An empty folder that the user `postgres` can reach; pytest's own are closed to it."""
    with _open_folder() as folder:
        yield folder


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wetread-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, orthanc_server_class: type[OrthancServer]
) -> Iterator[OrthancServer]:
    """A real Orthanc, shared by the session: `url`, `dicomweb_url`, `ae_title`, `dicom_port`."""
    with orthanc_server_class(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(
    tmp_path_factory: pytest.TempPathFactory, redis_server_class: type[RedisServer]
) -> Iterator[RedisServer]:
    """A real Redis, shared by the session: `url`."""
    with redis_server_class(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(postgres_server_class: type[PostgresServer]) -> Iterator[PostgresServer]:
    """A real PostgreSQL, shared by the session: `new_database()`."""
    with _open_folder() as folder, postgres_server_class(folder) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The SQLAlchemy URL of an empty database of this test's own."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def phantom_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small synthetic DX files by name: normal, effusion, pneumothorax, lateral, negative."""
    effusion = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)
    pneumothorax = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.LEFT)
    images = {
        "normal": draw(101, rows=320, columns=288),
        "effusion": draw(102, rows=320, columns=288, findings=(effusion,)),
        "pneumothorax": draw(103, rows=320, columns=288, findings=(pneumothorax,), view="AP"),
        "lateral": draw_lateral(101, rows=320, columns=288),
        "negative": inverted(draw(104, rows=320, columns=288)),
    }
    folder = tmp_path_factory.mktemp("phantoms")
    return {
        name: write(as_dataset(image), folder / f"{name}.dcm") for name, image in images.items()
    }


class Clock:
    """A clock that stands until it is moved: `clock()` is now, `clock.move(seconds)` lets time pass."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, seconds: float) -> datetime:
        """Let `seconds` pass and return the time."""
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty SQLite database at the current revision, to be copied."""
    file = tmp_path_factory.mktemp("template") / "wetread.db"
    schema.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of an empty PostgreSQL database at the current revision, to be copied."""
    url = postgres_server.new_database()
    schema.upgrade(url)
    return url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database at the current revision, once of each kind."""
    if request.param == "sqlite":
        file = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "wetread.db")
        return f"sqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database(template=request.getfixturevalue("postgres_template"))


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    """An empty store on each kind of database, whose time is `clock`."""
    opened = Store(database_url, clock=clock)
    yield opened
    opened.close()


class ScriptedServer(socketserver.ThreadingTCPServer):
    """An HTTP server on a free port of the loopback interface that answers as a script says.

    Args:
        script: Called with the number of a request from 0 and its parsed body; returns the bytes of the
            whole response, or an iterator of pieces that are sent one by one.

    Attributes:
        requests: The raw bytes of each request in the order in which they came.
        broken_off: Set when a client closed its connection in the middle of a response.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _ScriptedConnection)
        self.script, self.requests = script, []
        self.stopped, self.broken_off = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        """The root of its API."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def bodies(self):
        """The parsed bodies of the requests."""
        return [json.loads(raw.partition(b"\r\n\r\n")[2]) for raw in self.requests]

    def number(self, raw):
        """Record a request and return its number."""
        with self._lock:
            self.requests.append(raw)
            return len(self.requests) - 1

    def stop(self):
        """End the server and every response that waits."""
        self.stopped.set()
        self.shutdown()
        self.server_close()

    # What a script may return.

    def whole(self, status, body=b"", *headers):
        """Return a whole response."""
        lines = [
            f"HTTP/1.1 {status} X",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def json(self, content, status=200, *headers):
        """Return a whole response that holds JSON."""
        body = json.dumps(content).encode()
        return self.whole(status, body, "Content-Type: application/json", *headers)

    def chat(self, text, *, model="judge", finish="stop", usage=(1300, 60), **message):
        """Return a chat completion."""
        choice = {
            "message": {"role": "assistant", "content": text} | message,
            "finish_reason": finish,
        }
        tokens = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        return self.json({"model": model, "choices": [choice], "usage": tokens})

    def events(self, pieces, *, model="judge", finish="stop", seconds=0.0, done=True):
        """Yield a chat completion as server-sent events, `seconds` between two pieces."""
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        for piece in pieces:
            yield self.event({"delta": {"content": piece}, "finish_reason": None}, model)
            self.stopped.wait(seconds)
        if done:
            yield self.event({"delta": {}, "finish_reason": finish}, model) + b"data: [DONE]\n\n"

    def event(self, choice, model):
        """Return one server-sent event."""
        return b"data: " + json.dumps({"model": model, "choices": [choice]}).encode() + b"\n\n"

    def silence(self, first=b""):
        """Yield the first bytes, and then nothing until the server is stopped."""
        yield first
        self.stopped.wait(60)


class _ScriptedConnection(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = self.rfile.read(int(length[1])) if length else b""
        answer = self.server.script(self.server.number(head + body), json.loads(body or b"null"))
        try:
            for piece in [answer] if isinstance(answer, bytes) else answer:
                self.wfile.write(piece)
        except OSError:
            self.server.broken_off.set()


@pytest.fixture
def scripted_server():
    """A function that starts a `ScriptedServer` with a script; it is stopped after the test."""
    servers = []

    def start(script):
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


_BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ENTER, _TAB = "\ue007", "\ue004"


class BrowserSession:
    """Headless Chromium by the WebDriver protocol: a person at the pages of a site."""

    def __init__(self, driver: str, profile: Path, url: str, size: str) -> None:
        args = [*_BROWSER_FLAGS, f"--user-data-dir={profile}", f"--window-size={size}"]
        match = {"goog:chromeOptions": {"args": args}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url = url
        self._client = httpx.Client(timeout=60)
        made = self._client.post(
            f"{driver}/session", json={"capabilities": {"alwaysMatch": match}}
        ).raise_for_status()
        self._session = f"{driver}/session/{made.json()['value']['sessionId']}"

    def call(self, path: str, **body):
        """Return the value that a command of the session answers with."""
        answer = self._client.post(f"{self._session}/{path}", json=body).raise_for_status()
        return answer.json()["value"]

    def open(self, path: str) -> None:
        """Load a page of the site."""
        self.call("url", url=self.url + path.lstrip("/"))

    def run(self, script: str):
        """Return what the script returns in the page."""
        return self.call("execute/sync", script=script, args=[])

    def text(self, css: str) -> str:
        """Return the text of the first element that matches, "" without one."""
        return self.run(f"return document.querySelector({css!r})?.textContent.trim() ?? ''")

    def click(self, css: str) -> None:
        """Click the first element that matches."""
        found = self.call("element", using="css selector", value=css)[_ELEMENT]
        self.call(f"element/{found}/click")

    def press(self, *keys: str, held: str = "") -> None:
        """Press keys one after the other, while another one is held."""
        steps = [{"type": "keyDown", "value": held}] if held else []
        for key in keys:
            steps += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        steps += [{"type": "keyUp", "value": held}] if held else []
        self.call("actions", actions=[{"type": "key", "id": "keys", "actions": steps}])

    def log_in(self, login: str, phrase: str, then: str = "/read") -> None:
        """Log in by keys, and come to a page."""
        self.open(f"/login?next={then}")
        for _ in range(12):
            if self.run("return document.activeElement.name") == "name":
                break
            self.press(_TAB)
        self.press(*login, _TAB, *phrase, _ENTER)

    def faults(self) -> list[str]:
        """Return what the console holds: errors of scripts, violations of the policy."""
        entries = self.call("se/log", type="browser")
        return [each["message"] for each in entries if each["level"] == "SEVERE"]

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        answer = self._client.get(f"{self._session}/screenshot").raise_for_status()
        return base64.b64decode(answer.json()["value"])

    def quit(self) -> None:
        """End the browser."""
        self._client.delete(self._session)
        self._client.close()


@pytest.fixture
def web_driver(tmp_path, free_port, eventually, program):
    """The address of a chromedriver."""
    program("chromium", "google-chrome")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen(
            [program("chromedriver"), f"--port={port}"], stdout=log, stderr=subprocess.STDOUT
        )

    def is_up() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/status").json()["value"]["ready"]
        return False

    eventually(is_up, seconds=20, what="chromedriver")
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
def open_browser(web_driver, tmp_path):
    """A function that opens a headless Chromium of its own at a site; it is closed after the test."""
    opened = []

    def start(url: str, size: str = "1400,900") -> BrowserSession:
        opened.append(BrowserSession(web_driver, tmp_path / f"browser{len(opened)}", url, size))
        return opened[-1]

    yield start
    for each in opened:
        each.quit()
