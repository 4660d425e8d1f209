"""Heartbeats: a process reports its status to the database, so that pages show missing processes."""

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task, failing, in_thread
from service.records import NOTHING, ProcessRole, ProcessStatus, StatusReport
from service.settings.config import restarts
from service.store import Store

BEAT_SECONDS: Final = 5.0

log = get_logger(__name__)


def _with_failing_tasks(report: StatusReport) -> StatusReport:
    """Return the report with the status FAILING if it is WORKING and a background task fails."""
    tasks = failing()
    if tasks and report.status is ProcessStatus.WORKING:
        return replace(report, status=ProcessStatus.FAILING, reason=tasks)
    return report


def _report(
    store: Store, name: str, role: str, *, started_at: datetime, report: StatusReport
) -> bool:
    """Report this process; return whether the database accepted the report."""
    try:
        store.beat(
            name,
            role,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=started_at,
            restarts=restarts(),
            report=_with_failing_tasks(report),
        )
    except StoreError as error:
        log.warning("heartbeat_failed", reason=str(error))
        return False
    return True


class Heartbeat:
    """Reports one process in each of its roles, every 5 s."""

    def __init__(self, store: Store, roles: Sequence[str], report: StatusReport = NOTHING) -> None:
        """Take the store, the roles ("sweep"; "reading" and "delivery") and the first report."""
        self._store = store
        self._roles = tuple(roles)
        self._reported = report
        self._started_at = store.now()
        self._stop = threading.Event()

    def names(self) -> dict[str, str]:
        """Return the name under which each role is reported."""
        return {role: f"{role}@{socket.gethostname()}:{os.getpid()}" for role in self._roles}

    def report(self, report: StatusReport) -> None:
        """Report a new status at once, and repeat it with each heartbeat."""
        self._reported = report
        self._beat()

    def _beat(self) -> None:
        for role, name in self.names().items():
            _report(self._store, name, role, started_at=self._started_at, report=self._reported)

    def _run(self) -> None:
        task = Task("heartbeat")
        while not self._stop.wait(BEAT_SECONDS):
            task.attempt(self._beat)

    @contextmanager
    def beating(self) -> Iterator["Heartbeat"]:
        """Send heartbeats from a thread for the length of the block, then sign off."""
        self._beat()
        try:
            with in_thread(self._run, self._stop, "heartbeat"):
                yield self
        finally:
            with suppress(StoreError):
                for name in self.names().values():
                    self._store.sign_off(name)


class Probe:
    """Sends a receiver's heartbeats on demand, which also shows whether the database answers."""

    def __init__(self, store: Store, name: str, port: int) -> None:
        """Take the store, the receiver's name in heartbeats, and the port on which it listens."""
        self._store = store
        self._name = name
        self._port = port
        self._started_at = store.now()
        self._due = 0.0
        self._answered = True
        self._refusal = ""

    def beat_if_due(self, *, force: bool, refusal: str = "") -> bool:
        """Return whether the database accepted the latest heartbeat; send one if it is due.

        Args:
            force: Send one now.
            refusal: Why no Instances are accepted now, for the page; a change is sent at once.
        """
        if time.monotonic() < self._due and not force and refusal == self._refusal:
            return self._answered
        self._refusal = refusal
        self._due = time.monotonic() + BEAT_SECONDS
        status = ProcessStatus.REFUSING if refusal else ProcessStatus.WORKING
        report = StatusReport(f"listening on port {self._port}", status, refusal)
        self._answered = _report(
            self._store,
            self._name,
            ProcessRole.RECEIVER,
            started_at=self._started_at,
            report=report,
        )
        return self._answered
