"""Start due deliveries, each in its own thread, within the limits of the bulkheads.

A task message starts deliveries and does not wait for them. A silent destination therefore occupies its
own slots but no thread that consumes messages.
"""

import threading
import time
from collections.abc import Callable

from dicom.errors import (
    CannotSendNow,
    DestinationError,
    DestinationSilent,
    is_thread_exhaustion,
)
from service.settings.config import Settings
from workers.delivery.bulkheads import Bulkheads, Outcome
from workers.delivery.delivering import Claim, Delivering

Work = Callable[[Claim], Exception | None]


def bulkheads(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Bulkheads:
    """Return the bulkheads that the settings describe.

    Args:
        settings: The settings.
        clock: Returns monotonic seconds.
    """
    delivery = settings.delivery
    return Bulkheads(
        {each.name: each.max_in_flight for each in settings.destinations},
        shared_slots=delivery.concurrency - 1,
        first=delivery.retry_seconds,
        longest=delivery.retry_max_seconds,
        clock=clock,
    )


class DeliveryPool:
    """The deliveries of one process; thread-safe."""

    def __init__(self, delivering: Delivering, limits: Bulkheads, work: Work) -> None:
        """Create the pool.

        Args:
            delivering: Claims deliveries and ends claims.
            limits: Limits the deliveries in progress; used under the pool's lock only.
            work: Makes one delivery and returns its error, or None.
        """
        self._delivering = delivering
        self._limits = limits
        self._work = work
        self._lock = threading.Lock()
        self._idle = threading.Condition()
        self._under_way = 0

    def deliver(self, job_id: str | None) -> None:
        """Start the due deliveries of the job, then of any job, while slots are free.

        A delivery that found no free slot earlier has no message left; the second step starts it.
        """
        if job_id is not None:
            with self._lock:
                self._limits.reset(self._delivering.resend_requested(job_id))
            self._start_all(job_id)
        self._start_all(None)

    def _start_all(self, job_id: str | None) -> None:
        while self._start_one(job_id):
            pass

    def _start_one(self, job_id: str | None) -> bool:
        # One lock over full(), claim and begin(): another thread must not take the free slot between.
        with self._lock:
            claim = self._delivering.claim(job_id, excluding=self._limits.full())
            if claim is None:
                return False
            self._limits.begin(claim.delivery.destination)
        with self._idle:
            self._under_way += 1
        name = f"deliver-{claim.delivery.destination}"
        try:
            threading.Thread(target=self._run, args=(claim,), name=name, daemon=True).start()
        except RuntimeError as error:
            if not is_thread_exhaustion(error):
                raise
            # Give the claim back now; otherwise the delivery would wait for the end of its lease.
            fault = CannotSendNow("no thread could be started on this machine")
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
                # The slot is free now; a delivery that waits for it has no message.
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
        """Wait until no delivery is in progress."""
        with self._idle:
            self._idle.wait_for(lambda: not self._under_way)


def _outcome(error: Exception | None) -> Outcome:
    if isinstance(error, DestinationSilent):
        return Outcome.SILENT
    if isinstance(error, CannotSendNow):
        return Outcome.UNKNOWN
    if error is None or isinstance(error, DestinationError):
        return Outcome.ANSWERED
    return Outcome.UNKNOWN
