"""Starts what is due to be delivered, each delivery in a thread of its own, within the bulkheads.

A message only starts deliveries and waits for none. So a destination that is silent holds its own slots
and no thread that takes messages.
"""

import threading
import time
from collections.abc import Callable

from dicom.errors import (
    DestinationError,
    DestinationSilent,
    DestinationUnavailable,
    lacks_thread,
)
from service.settings.config import Settings
from workers.delivery.bulkheads import Bulkheads, Outcome
from workers.delivery.delivering import Claim, Delivering

Work = Callable[[Claim], Exception | None]


def bulkheads(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Bulkheads:
    """Return the bulkheads that the settings describe, by this clock."""
    delivery = settings.delivery
    return Bulkheads(
        {each.name: each.max_in_flight for each in settings.destinations},
        stock=delivery.concurrency - 1,
        first=delivery.retry_seconds,
        longest=delivery.retry_max_seconds,
        clock=clock,
    )


class DeliveryPool:
    """The deliveries of one process; its methods may be called from several threads."""

    def __init__(self, delivering: Delivering, limits: Bulkheads, work: Work) -> None:
        """Take what claims, how many may be under way, and what does one and returns its error."""
        self._delivering = delivering
        self._limits = limits
        self._work = work
        self._lock = threading.Lock()
        self._idle = threading.Condition()
        self._under_way = 0

    def deliver(self, job_id: str | None) -> None:
        """Start what is due of the job, then what is due of any job, as far as there is room.

        What had to wait for room at its destination has no message of its own any more.
        """
        if job_id is not None:
            with self._lock:
                self._limits.reset(self._delivering.asked_for(job_id))
            self._start_all(job_id)
        self._start_all(None)

    def _start_all(self, job_id: str | None) -> None:
        while self._start_one(job_id):
            pass

    def _start_one(self, job_id: str | None) -> bool:
        with self._lock:
            claim = self._delivering.claim(job_id, but_not=self._limits.full())
            if claim is None:
                return False
            self._limits.begin(claim.delivery.destination)
        with self._idle:
            self._under_way += 1
        name = f"deliver-{claim.delivery.destination}"
        try:
            threading.Thread(target=self._run, args=(claim,), name=name, daemon=True).start()
        except RuntimeError as error:
            if not lacks_thread(error):
                raise
            fault = DestinationUnavailable("this machine starts no thread now")
            self._delivering.give_back(claim, fault)
            self._ended(claim, fault)
            self._left()
            return False
        return True

    def _run(self, claim: Claim) -> None:
        error: Exception | None = None
        try:
            error = self._work(claim)
        finally:
            self._ended(claim, error)
            try:
                # Its slot is free: what waits for it has no message.
                self._start_all(None)
            finally:
                self._left()

    def _ended(self, claim: Claim, error: Exception | None) -> None:
        with self._lock:
            self._limits.end(claim.delivery.destination, _outcome(error))

    def _left(self) -> None:
        with self._idle:
            self._under_way -= 1
            self._idle.notify_all()

    def join(self) -> None:
        """Return when no delivery is under way."""
        with self._idle:
            self._idle.wait_for(lambda: not self._under_way)


def _outcome(error: Exception | None) -> Outcome:
    if isinstance(error, DestinationSilent):
        return Outcome.SILENT
    if error is None or isinstance(error, DestinationError):
        return Outcome.ANSWERED
    return Outcome.UNKNOWN
