"""Runs the whole service on one machine: its parts, their order, and the record of parts that died."""

import fcntl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.database import schema
from service.errors import ConfigurationError, StoreError
from service.log import get_logger
from service.records import IncidentKind
from service.settings.config import Settings
from service.store import Store
from service.system.disk_space import make_folder
from service.system.private_servers import private_folder, redis_part
from service.system.signals import on_sighup
from service.system.supervisor import Part, PartExit, Supervisor, wetread_command

_POLL_SECONDS = 0.1

log = get_logger(__name__)


def parts(settings: Settings, environment: dict[str, str]) -> list[Part]:
    """Return the parts of `wetread up`, each with `environment`; with a private Redis if none is set."""
    infrastructure = []
    if settings.broker.url is None:
        redis, url = redis_part(settings.run_dir)
        infrastructure.append(redis)
        environment = {**environment, "WETREAD_BROKER__URL": url}
    commands = {
        # The highest stage stops first: reception, then the work in progress, and the web last, so
        # that the pages show the stop.
        "receive": (("receive",), 3),
        "sweep": (("sweep",), 2),
        "worker-reading": (("worker", "--queues", "reading"), 2),
        "worker-delivery": (("worker", "--queues", "delivery"), 2),
        "web": (("web",), 1),
    }
    for name in (each.name for each in settings.models):
        commands[f"worker-{name}"] = (("worker", "--queues", "reading", "--model", name), 2)
    if settings.stow.port is not None:
        commands["receive-web"] = (("receive-web",), 3)
    if settings.hl7.port is not None:
        commands["receive-hl7"] = (("receive-hl7",), 3)
    if settings.reconcile:
        commands["reconcile"] = (("reconcile", "--watch"), 3)
    return infrastructure + [
        Part(
            name=name,
            command=wetread_command(*arguments),
            environment=environment,
            stage=stage,
        )
        for name, (arguments, stage) in commands.items()
    ]


@contextmanager
def sole_owner(folder: Path) -> Iterator[None]:
    """Lock `folder` for one supervisor; the kernel releases the lock when the process ends.

    Raises:
        ConfigurationError: Another process holds the lock.
    """
    private_folder(folder)
    with (folder / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another `wetread up` or `wetread demo` is running in {folder.parent}: "
                "stop it, or set another data_dir"
            ) from None
        yield


class AllInOne:
    """A supervised Wetread: upgrades the database, runs the parts, records parts that died."""

    def __init__(
        self, settings: Settings, members: Sequence[Part], *, output: IO[bytes] | None = None
    ) -> None:
        """Take the settings, the parts, and their output (None: this process's streams)."""
        self._settings = settings
        self._store: Store | None = None
        self._supervisor = Supervisor(
            members,
            on_exit=self._record,
            output=output,
            stop_seconds=settings.receiver.stop_seconds + 10,
        )

    def start(self) -> None:
        """Upgrade the database to the current revision, then start every part.

        Raises:
            ConfigurationError: A folder cannot be created.
            StoreError: The database cannot be reached or upgraded.
            OSError: A part cannot be started.
        """
        make_folder(self._settings.spool_dir, "data_dir")
        make_folder(self._settings.outbox_dir, "data_dir")
        schema.upgrade(self._settings.database_url)
        self._store = Store.open(self._settings)
        self._supervisor.start()

    def run(self, until: threading.Event) -> None:
        """Restart parts that end until the event is set; SIGHUP makes them reload their settings."""
        on_sighup(self._reload, until)
        while not until.wait(_POLL_SECONDS):
            self._supervisor.check_parts()

    def _reload(self) -> None:
        log.info("reload_forwarded", parts=sorted(self._supervisor.pids()))
        self._supervisor.reload()

    def check_parts(self) -> None:
        """Check the parts once, and restart those that are due."""
        self._supervisor.check_parts()

    def stop(self) -> None:
        """Stop every part in order and close the database."""
        self._supervisor.stop()
        if self._store is not None:
            self._store.close()

    def pids(self) -> dict[str, int]:
        """Return the process id of each part that runs now."""
        return self._supervisor.pids()

    def _record(self, ended: PartExit) -> None:
        detail = f"{ended.text}; started again in {ended.wait:.1f} s"
        event = "part_not_started" if ended.not_started else "part_died"
        log.error(
            event,
            part=ended.part.name,
            ended_by=ended.ended_by,
            reason=ended.not_started,
            restarts=ended.restarts,
        )
        if self._store is None:
            return
        try:
            self._store.record_incident(
                actor="supervisor",
                kind=IncidentKind.PROCESS_DIED,
                subject=ended.part.name,
                detail=detail,
            )
        except StoreError as error:  # the database may be the cause of the end
            log.warning("incident_not_recorded", part=ended.part.name, reason=str(error))
