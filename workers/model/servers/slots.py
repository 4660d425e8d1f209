"""A limit on requests at once that lets urgent requests go first."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """So many requests may run; of those that wait, urgent ones come first, then the earliest.

    Used within one event loop.

    Args:
        count: Requests at once.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @asynccontextmanager
    async def taken(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold a slot; wait for one if none is free."""
        await self._take(urgent)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, urgent: bool) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it was our turn already
            raise

    def _pass_on(self) -> None:
        """Give a slot to the next that still waits, or mark it as free."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
