"""The servers around the service, each of which can be killed, stopped, frozen and started again."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg

from service.settings.config import child_environment
from service.system.private_servers import free_port
from service.system.supervisor import Part

START_SECONDS = 240.0


class Program:
    """One server; the fault that stops it starts it again."""

    def __init__(self, part: Part, log: Path, answers: Callable[[], bool]) -> None:
        """Take its command line, its log file and its readiness check."""
        self._part = part
        self._log = log
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers."""
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._part.command,
                    env=child_environment(**self._part.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        wait_for(self._answers, what=self._part.name)

    def answers(self) -> bool:
        """Return whether it answers now."""
        return self._answers()

    def kill(self) -> None:
        """End it and its children as a crash of the machine would."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it in its orderly way, in 20 seconds or by force."""
        if self._process is None:
            return
        self._process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self.kill()

    def processes(self) -> list[psutil.Process]:
        """Return it and its children; none while it does not run."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._process.pid)
            return [own, *own.children(recursive=True)]
        return []


def wait_for(condition: Callable[[], bool], *, what: str, seconds: float = START_SECONDS) -> None:
    """Wait until `condition` holds.

    Raises:
        TimeoutError: It did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


class Postgres(Program):
    """A PostgreSQL cluster of its own, run as the user `postgres` if we are root: it refuses root."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster in an empty folder that every user may enter."""
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        port = free_port()
        cluster = folder / "cluster"
        making = ["initdb", "-D", cluster, "-U", "wetread", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            _as_postgres(*making, "--auth=trust", "--no-sync"),
            check=True,
            cwd=folder,
            capture_output=True,
        )
        self.port = port
        self.url = f"postgresql+psycopg://wetread@127.0.0.1:{port}/postgres"
        self.socket_url = f"postgresql+psycopg://wetread@/postgres?host={folder}&port={port}"
        conninfo = f"host={folder} port={port} user=wetread dbname=postgres connect_timeout=2"
        # What was committed must outlive kill -9 of every process; the machine itself stays up.
        settings = [f"port={port}", f"unix_socket_directories={folder}", "fsync=off"]
        options = [word for setting in settings for word in ("-c", setting)]
        command = _as_postgres("postgres", "-D", cluster, "-h", "127.0.0.1", *options)
        part = Part(name="postgres", command=tuple(command))
        super().__init__(part, folder.parent / "postgres.log", lambda: _connects(conninfo))


def _connects(conninfo: str) -> bool:
    with contextlib.suppress(psycopg.Error):
        psycopg.connect(conninfo).close()
        return True
    return False


def _as_postgres(name: str, *arguments: object) -> list[str]:
    programs = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = str(programs[-1]) if programs else shutil.which(name)
    if program is None:
        raise SystemExit(f"{name} is not installed: choose --database sqlite")
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
    return [*(user if os.geteuid() == 0 else []), program, *map(str, arguments)]
