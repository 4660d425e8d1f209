"""Threads that serve one connection after another, so that nobody waits for a thread to begin.

Starting a thread returns only when the new one has run: in a busy process that takes tens of
milliseconds, during which the listener could accept nobody.
"""

import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import Generic, TypeVarTuple, Unpack

Work = TypeVarTuple("Work")


class ThreadPool(Generic[*Work]):
    """Calls `serve` in a thread of its own for each work; a thread without any for a while ends."""

    def __init__(
        self, serve: Callable[[Unpack[Work]], None], name: str, *, patience: float = 2.0
    ) -> None:
        """Take what is done with each work.

        Args:
            serve: Called in a thread; its errors are its own business.
            name: What the threads are called.
            patience: Seconds after which a thread without work ends.
        """
        self._serve = serve
        self._name = name
        self._patience = patience
        # No SimpleQueue: its get() may wait for ever when another took the item as the time ran out.
        self._given: Queue[tuple[*Work]] = Queue()
        self._turn = threading.Lock()
        # Threads that wait, less works that are given to one of them.
        self._free = 0

    def give(self, *work: *Work) -> None:
        """Have `work` served at once, by a thread that is free or by a new one.

        Raises:
            RuntimeError: There is none free, and the machine has no more threads.
        """
        with self._turn:
            is_taken = self._free > 0
            self._free -= is_taken
        if is_taken:
            self._given.put(work)
            return
        threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()

    def _run(self, work: tuple[*Work] | None) -> None:
        while work is not None:
            self._serve(*work)
            work = None  # what is over is not kept while waiting
            work = self._next()

    def _next(self) -> tuple[*Work] | None:
        with self._turn:
            self._free += 1
        while True:
            try:
                return self._given.get(timeout=self._patience)
            except Empty:
                with self._turn:
                    if self._free:
                        self._free -= 1
                        return None
            # Work has been given to one of those who wait: it comes, here or, quicker, to another.
