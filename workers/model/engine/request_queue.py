"""Orders that wait for rows of the engine: urgent ones first, the others as they came."""

import itertools
from collections import deque
from collections.abc import Iterator

from workers.model.engine.request import AnswerRequest


class RequestQueue:
    """What waits; whoever uses it holds the engine's lock."""

    def __init__(self) -> None:
        self._urgent: deque[AnswerRequest] = deque()
        self._routine: deque[AnswerRequest] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._routine)

    def __iter__(self) -> Iterator[AnswerRequest]:
        return itertools.chain(self._urgent, self._routine)

    def add(self, order: AnswerRequest, *, urgent: bool) -> None:
        """Let an order wait behind those that are as urgent."""
        (self._urgent if urgent else self._routine).append(order)

    def put_back(self, order: AnswerRequest) -> None:
        """Let an order be the next: it was its turn already."""
        self._urgent.appendleft(order)

    def taken(self, count: int, rows: int, *, idle: bool) -> list[AnswerRequest]:
        """Take out the next orders, none before one that is ahead of it.

        Args:
            count: So many at most.
            rows: That are free; an order takes one for each of its answers.
            idle: Nothing is under way: the first is taken however many rows it wants.
        """
        orders: list[AnswerRequest] = []
        while self and len(orders) < count:
            queue = self._urgent or self._routine
            rows -= len(queue[0].writers)
            if rows < 0 and (orders or not idle):
                break
            orders.append(queue.popleft())
        return orders

    def forget_withdrawn(self) -> None:
        """Let go what is no longer wanted."""
        for queue in (self._urgent, self._routine):
            for order in [order for order in queue if order.withdrawn()]:
                queue.remove(order)
