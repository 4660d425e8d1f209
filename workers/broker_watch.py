"""Detects that a worker receives no messages from its broker, and replaces the worker.

Celery and its Redis library have time limits on their sockets (`service.system.socket_limits`), so a
silent connection is normally replaced within seconds. This watch covers the rest, over a connection of
its own: messages wait in the queue, a thread is free, and no message arrives.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from service.errors import BrokerUnavailable
from service.log import get_logger
from service.monitoring.background import Task, in_thread
from service.records import ProcessStatus, StatusReport

log = get_logger(__name__)

READY: Final = StatusReport("ready")
LOOK_SECONDS: Final = 5.0
# Longer than the 15 s that Celery takes to detect and replace a silent connection.
SILENT_SECONDS: Final = 30.0


class BrokerWatch:
    """Compares the messages in the queue with those that arrive."""

    def __init__(
        self,
        waiting: Callable[[], int],
        is_full: Callable[[], bool],
        report: Callable[[StatusReport], None],
        replace: Callable[[str], None],
        *,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up the watch; `watching` starts it.

        Args:
            waiting: Returns the number of messages in the queue; raises BrokerUnavailable.
            is_full: Returns whether the worker takes no message now, because all threads are busy.
            report: Reports the state of this process for the status page.
            replace: Ends the process so that another starts; takes the reason.
            silent_seconds: How long messages may wait while a thread is free and none arrives.
            clock: Monotonic clock in seconds.
        """
        self._waiting = waiting
        self._is_full = is_full
        self._report = report
        self._replace = replace
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._reported = READY
        self._last = clock()
        self._stop = threading.Event()

    def received(self) -> None:
        """Note that a message has arrived; may be called from any thread."""
        self._last = self._clock()

    def look(self) -> None:
        """Compare once: report a change of state; replace the process after `silent_seconds`."""
        try:
            waiting = self._waiting()
        except BrokerUnavailable as error:
            # A new process would have no connection either.
            self.received()
            self._say(StatusReport(status=ProcessStatus.CUT_OFF, reason=str(error)))
            return
        if not waiting or self._is_full():
            self.received()
        silent = self._clock() - self._last
        if silent < self._silent_seconds:
            # After CUT_OFF, READY needs an arrival, or a moment in which no message had to wait.
            if silent < LOOK_SECONDS:
                self._say(READY)
            return
        reason = f"{waiting} messages have waited for {silent:.0f} s while a thread was free"
        self._say(StatusReport(status=ProcessStatus.CUT_OFF, reason=reason))
        self._replace(reason)

    def _say(self, report: StatusReport) -> None:
        if report == self._reported:
            return
        self._reported = report
        if report == READY:
            log.info("broker_recovered")
        else:
            log.warning("broker_silent", reason=report.reason)
        self._report(report)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Compare every LOOK_SECONDS for the duration of the block."""
        with in_thread(self._run, self._stop, "broker-watch", join_seconds=LOOK_SECONDS):
            yield

    def _run(self) -> None:
        task = Task("watch the broker")
        while not self._stop.wait(LOOK_SECONDS):
            task.attempt(self.look)
