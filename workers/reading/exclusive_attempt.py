"""Lets readings run side by side, or one of them alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from service.errors import ReadingCanceled

_ASK_SECONDS: Final = 0.5


class ExclusiveAttempt:
    """A shared or exclusive lock; while an exclusive reading waits or runs, no other reading starts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone = False

    @contextmanager
    def taken(self, *, alone: bool, given_up: Callable[[], bool]) -> Iterator[None]:
        """Hold the lock for the duration of the block.

        Args:
            alone: No other reading runs meanwhile.
            given_up: Called every half second while waiting; True ends the wait.

        Raises:
            ReadingCanceled: `given_up` returned True.
        """
        # First stop new readings, then wait for the running ones; else they could follow each other
        # without end.
        with self._changed:
            self._wait(lambda: not self._alone, given_up)
            self._alone = alone
            self._together += not alone
        try:
            with self._changed:
                self._wait(lambda: not (alone and self._together), given_up)
            yield
        finally:
            with self._changed:
                self._alone = self._alone and not alone
                self._together -= not alone
                self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], given_up: Callable[[], bool]) -> None:
        while not condition():
            if given_up():
                raise ReadingCanceled("the reading was canceled")
            self._changed.wait(_ASK_SECONDS)
