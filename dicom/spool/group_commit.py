"""Group commit: one thread performs an action for all threads that request it at the same time."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchFailed(Exception):
    """The batch failed in another thread, which raises the original error."""


class _Submission(Generic[Item, Result]):
    """The item of one thread, and its result."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: list[Result] = []
        self.is_over = False
        # Released when the item is done, or when this thread must perform the next batch.
        self.wakeup = threading.Lock()
        self.wakeup.acquire()

    def outcome(self) -> Result:
        if not self.results:
            raise BatchFailed
        return self.results[0]


class GroupCommit(Generic[Item, Result]):
    """Calls `action` with all items that arrived during its previous call.

    A single item does not wait. While one thread performs a batch, the next one accumulates, so batches
    grow with the load.
    """

    def __init__(self, action: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        """Store `action`, which returns one result for each item, in the same order."""
        self._action = action
        self._mutex = threading.Lock()
        self._waiting: list[_Submission[Item, Result]] = []
        self._working = False

    def submit(self, item: Item) -> Result:
        """Return the result for `item`, whose batch this thread or another performs.

        Raises:
            BatchFailed: `action` raised an error in another thread; an error that it raises in this
                thread propagates unchanged.
        """
        submission: _Submission[Item, Result] = _Submission(item)
        with self._mutex:
            self._waiting.append(submission)
            waits, self._working = self._working, True
        if waits:
            submission.wakeup.acquire()
        if not submission.is_over:
            self._work()
        return submission.outcome()

    def _work(self) -> None:
        with self._mutex:
            batch, self._waiting = self._waiting, []
        try:
            results = self._action([submission.item for submission in batch])
            for submission, result in zip(batch, results, strict=True):
                submission.results = [result]
        finally:
            self._hand_over(batch)

    def _hand_over(self, batch: list[_Submission[Item, Result]]) -> None:
        with self._mutex:
            self._working = bool(self._waiting)
            successors = self._waiting[:1]
        # Set before the locks are released: a thread whose item is not done performs the next batch.
        for submission in batch:
            submission.is_over = True
        for submission in batch + successors:
            submission.wakeup.release()
