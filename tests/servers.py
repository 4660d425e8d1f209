"""The real servers that the tests run against: programs in folders and at ports of their own."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import psutil
import psycopg
import pytest


def find_program(*names: str) -> str:
    """Return the path of the first program that is installed, or skip the test."""
    for name in names:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found:
            return found
    pytest.skip(f"{' or '.join(names)} is not installed")


def ended_with_us(command: Sequence[str], number: signal.Signals) -> list[str]:
    """Return a command line whose process the kernel signals when the thread that started it ends.

    A test run that is interrupted or killed runs no finalizer of a fixture. Without setpriv, which
    every Debian has, the command is returned as it is.
    """
    guard = ["setpriv", "--pdeathsig", number.name.removeprefix("SIG")]
    return [*(guard if shutil.which("setpriv") else []), *command]


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


def accepts(port: int) -> bool:
    """Return whether something listens at this port of the loopback interface."""
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
    # At the end of a `with` block its state is not needed any more: an orderly stop of Orthanc
    # takes 3 s.
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
        return accepts(self.port)

    def start(self) -> None:
        """Start it and return once it answers."""
        command = self.command()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ended_with_us(command, signal.SIGKILL),
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

    A firewall that drops connection state behaves so; the kernel of the peer continues acknowledging
    bytes.

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
        """Make open connections silent for good; later ones too until `heal`."""
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
                return accepts(self.dicom_port)
        except urllib.error.HTTPError as error:
            return error.code == 401 and accepts(self.dicom_port)
        except OSError:
            return False


class RedisServer(Server):
    """A Redis (or Valkey) that keeps nothing on disk unless `durable` is set."""

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
    """A PostgreSQL cluster, as the user `postgres` if we are root, which it refuses."""

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
            self._initialize()
        # No synchronous_commit=off: what was committed must outlive kill(). The system's cache is
        # enough.
        quick = ["fsync=off", "full_page_writes=off", "shared_buffers=16MB"]
        place = [f"port={self.port}", f"unix_socket_directories={self.folder}"]
        settings = [word for setting in (*quick, *place) for word in ("-c", setting)]
        return [
            *self._as_its_user(),
            self._program("postgres"),
            *("-D", str(self.cluster), "-h", "127.0.0.1", *settings),
        ]

    def kill(self) -> None:
        """Kill it with its sessions, which would otherwise run on for an instant and commit."""
        sessions = psutil.Process(self.process.pid).children() if self.process else []
        super().kill()
        for session in sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()
        psutil.wait_procs(sessions, 20)

    def _initialize(self) -> None:
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
