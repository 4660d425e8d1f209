"""A pool of threads that serve one connection after another, to avoid starting a thread for each.

`Thread.start` returns only when the new thread has run. In a busy process that takes tens of
milliseconds, during which the listener could accept no connection.
"""

import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import Generic, TypeVarTuple, Unpack

Work = TypeVarTuple("Work")


class ThreadPool(Generic[*Work]):
    """Calls `serve` in a pool thread for each work item; a thread that stays idle ends."""

    def __init__(
        self, serve: Callable[[Unpack[Work]], None], name: str, *, idle_timeout: float = 2.0
    ) -> None:
        """Store the parameters; threads are started on demand.

        Args:
            serve: Called in a pool thread with the arguments of `submit`; must handle its own errors.
            name: Name of the threads.
            idle_timeout: Idle timeout of a thread, in seconds.
        """
        self._serve = serve
        self._name = name
        self._idle_timeout = idle_timeout
        # Not SimpleQueue: its get() may block forever if another thread takes the item at the timeout.
        self._submitted: Queue[tuple[*Work]] = Queue()
        self._lock = threading.Lock()
        # Waiting threads minus items queued for them.
        self._free = 0

    def submit(self, *work: *Work) -> None:
        """Serve `work` at once, in a free thread or a new one.

        Raises:
            RuntimeError: No thread is free and no new one can be started.
        """
        with self._lock:
            is_taken = self._free > 0
            self._free -= is_taken
        if is_taken:
            self._submitted.put(work)
            return
        threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()

    def _run(self, work: tuple[*Work] | None) -> None:
        while work is not None:
            self._serve(*work)
            work = None  # release the served connection before waiting for the next
            work = self._next()

    def _next(self) -> tuple[*Work] | None:
        with self._lock:
            self._free += 1
        while True:
            try:
                return self._submitted.get(timeout=self._idle_timeout)
            except Empty:
                with self._lock:
                    if self._free:
                        self._free -= 1
                        return None
            # No free thread is left, so each waiting thread has an item queued: wait again.
