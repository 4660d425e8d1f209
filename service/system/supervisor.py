"""Runs the parts of Wetread as child processes, and restarts a process that dies.

No library is used: honcho stops everything when one process ends; circus and supervisord bring a control
protocol and a configuration language of their own.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from service.settings.config import child_environment
from service.system.signals import on_sighup

REPLACE_ME = 75  # exit status of a part that cannot go on (EX_TEMPFAIL of sysexits.h)

_PR_SET_PDEATHSIG = 1
# Seconds before a restart: doubled each time, and reset once the part has run for `_SETTLED_AFTER`.
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0
_SETTLED_AFTER = 60.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the service.

    Attributes:
        name: Its name in pages and events.
        command: Program and arguments.
        environment: Variables besides those of the supervisor.
        stage: Parts start by rising stage and stop by falling stage; equal stages together.
        reloads: Whether SIGHUP is forwarded to it.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    stage: int = 1
    reloads: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PartExit:
    """A part has ended or could not be restarted; the next start is after `wait` seconds.

    Attributes:
        part: The part.
        ended_by: How it ended; "" if it could not be restarted.
        not_started: Why it could not be restarted, else "".
        restarts: The number of restarts, including the next one.
        wait: Seconds until the next start.
    """

    part: Part
    restarts: int
    wait: float
    ended_by: str = ""
    not_started: str = ""

    @property
    def text(self) -> str:
        """What happened, as a sentence without its subject."""
        if self.not_started:
            return f"could not be started again: {self.not_started}"
        return f"ended by {self.ended_by}"


@dataclass(slots=True)
class _Child:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    restarts: int = 0
    wait: float = _FIRST_WAIT


def wetread_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line that runs `wetread ARGUMENTS` with this Python."""
    return (sys.executable, "-m", "service.cli", *arguments)


class Supervisor:
    """Starts parts, restarts those that end, and stops all in order."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        on_exit: Callable[[PartExit], None],
        output: IO[bytes] | None = None,
        stop_seconds: float = 40.0,
    ) -> None:
        """Take the parts; start nothing yet.

        Args:
            parts: The parts to run.
            on_exit: Called for each part that ended by itself or could not be restarted.
            output: Where the parts write; None for this process's own streams.
            stop_seconds: How long one stage may take to stop before it is killed.
        """
        self._children = [_Child(part) for part in sorted(parts, key=lambda part: part.stage)]
        self._on_exit = on_exit
        self._output = output
        self._stop_seconds = stop_seconds

    def start(self) -> None:
        """Start every part.

        Raises:
            OSError: A program does not exist, or a process cannot be created.
        """
        for child in self._children:
            self._launch(child)

    def run(self, until: threading.Event) -> None:
        """Start all parts, restart those that end until the event is set, then stop all in order.

        Call it in the main thread, as it sets a handler that forwards SIGHUP.
        """
        try:
            self.start()
            on_sighup(self.reload, until)
            while not until.wait(_POLL_SECONDS):
                self.check_parts()
        finally:
            self.stop()

    def check_parts(self) -> None:
        """Check every part once: report those that ended, restart those that are due."""
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._record_exit(child, now)
            elif child.process is None and now >= child.due:
                self._launch_again(child, now)

    def pids(self) -> dict[str, int]:
        """Return the process id of each part that runs now."""
        return {
            child.part.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.poll() is None
        }

    def reload(self) -> None:
        """Forward SIGHUP to every running part that reloads its settings."""
        for child in self._children:
            if child.part.reloads and child.process is not None and child.process.poll() is None:
                # Not to its process group: its own children have no settings to reload.
                child.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Send SIGTERM to every part, the last stage first; kill a part that exceeds the limit."""
        for stage in sorted({child.part.stage for child in self._children}, reverse=True):
            running = [
                child.process
                for child in self._children
                if child.part.stage == stage and child.process is not None
            ]
            for process in running:
                _signal_group(process, signal.SIGTERM)
            self._await_end(running)

    def _await_end(self, running: Sequence[subprocess.Popen[bytes]]) -> None:
        deadline = time.monotonic() + self._stop_seconds
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()

    def _launch(self, child: _Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603 - our own parts, no shell
            child.part.command,
            env=child_environment(**child.part.environment, WETREAD_RESTARTS=str(child.restarts)),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            # Ctrl-C in a terminal must reach the supervisor only, which then stops the parts in order.
            start_new_session=True,
            preexec_fn=_prepare_child,  # noqa: PLW1509 - two calls, made before any thread exists
        )
        child.started = time.monotonic()

    def _launch_again(self, child: _Child, now: float) -> None:
        """Restart a part that ended; if the system cannot create the process, try again later."""
        child.restarts += 1
        try:
            self._launch(child)
        except (OSError, subprocess.SubprocessError) as error:
            # EAGAIN and ENOMEM are temporary; a missing program may be back after an update.
            child.restarts -= 1
            strerror = error.strerror if isinstance(error, OSError) else None
            reason = strerror or type(error).__name__
            self._put_off(child, now, not_started=reason)

    def _record_exit(self, child: _Child, now: float) -> None:
        if child.process is None:
            return
        if now - child.started > _SETTLED_AFTER:
            child.wait = _FIRST_WAIT
        ended_by = _ending(child.process.returncode)
        child.process = None
        self._put_off(child, now, ended_by=ended_by)

    def _put_off(
        self, child: _Child, now: float, *, ended_by: str = "", not_started: str = ""
    ) -> None:
        """Schedule a part's next start, double its next wait, and report why it does not run."""
        child.due = now + child.wait
        ended = PartExit(
            part=child.part,
            restarts=child.restarts + 1,
            wait=child.wait,
            ended_by=ended_by,
            not_started=not_started,
        )
        child.wait = min(child.wait * 2, _LONGEST_WAIT)
        self._on_exit(ended)


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"signal {signal.Signals(-returncode).name}"
    meaning = " (it requested its replacement)" if returncode == REPLACE_ME else ""
    return f"exit status {returncode}{meaning}"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _prepare_child() -> None:
    """In the child: ignore SIGHUP until it sets a handler; get SIGTERM when the supervisor dies."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
