"""Group commit: what many threads ask for at the same time is done at once, by one of them."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchFailed(Exception):
    """The work that was done for several failed in the thread that did it, which raises the error."""


class _Turn(Generic[Item, Result]):
    """One thread's item, and what became of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: list[Result] = []
        self.is_over = False
        # Let go when the item is done, or when it is this thread's turn to work for all.
        self.gate = threading.Lock()
        self.gate.acquire()

    def outcome(self) -> Result:
        if not self.results:
            raise BatchFailed
        return self.results[0]


class GroupCommit(Generic[Item, Result]):
    """Calls `action` with all items that came while it was busy before.

    A lone item waits for nobody. While one thread works for a batch the next batch gathers, so the more
    there is to do the more is done at once.
    """

    def __init__(self, action: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        """Take what is done: it returns one result for each item, in their order."""
        self._action = action
        self._mutex = threading.Lock()
        self._waiting: list[_Turn[Item, Result]] = []
        self._working = False

    def do(self, item: Item) -> Result:
        """Return the result for `item`, worked for by this thread or another.

        Raises:
            BrokenOff: `action` raised for the batch, in another thread; where it raised in this one,
                its own error comes through.
        """
        turn: _Turn[Item, Result] = _Turn(item)
        with self._mutex:
            self._waiting.append(turn)
            waits, self._working = self._working, True
        if waits:
            turn.gate.acquire()
        if not turn.is_over:
            self._work()
        return turn.outcome()

    def _work(self) -> None:
        with self._mutex:
            batch, self._waiting = self._waiting, []
        try:
            results = self._action([turn.item for turn in batch])
            for turn, result in zip(batch, results, strict=True):
                turn.results = [result]
        finally:
            self._hand_over(batch)

    def _hand_over(self, batch: list[_Turn[Item, Result]]) -> None:
        with self._mutex:
            self._working = bool(self._waiting)
            successors = self._waiting[:1]
        for turn in batch:
            turn.is_over = True
        for turn in batch + successors:
            turn.gate.release()
