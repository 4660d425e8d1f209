"""Requests that wait for rows of the engine: urgent ones first, the others in order of arrival."""

import itertools
from collections import deque
from collections.abc import Iterator

from workers.model.engine.request import AnswerRequest


class RequestQueue:
    """The waiting requests; callers must hold the engine's lock."""

    def __init__(self) -> None:
        self._urgent: deque[AnswerRequest] = deque()
        self._routine: deque[AnswerRequest] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._routine)

    def __iter__(self) -> Iterator[AnswerRequest]:
        return itertools.chain(self._urgent, self._routine)

    def add(self, request: AnswerRequest, *, urgent: bool) -> None:
        """Append a request after those of the same urgency."""
        (self._urgent if urgent else self._routine).append(request)

    def put_back(self, request: AnswerRequest) -> None:
        """Put a request first again, because it was its turn already."""
        self._urgent.appendleft(request)

    def taken(self, count: int, rows: int, *, idle: bool) -> list[AnswerRequest]:
        """Remove and return the next requests, strictly in order.

        Args:
            count: Most requests to take.
            rows: Number of free rows; a request takes one for itself and for each of its samples.
            idle: No row is in use: the first request is taken even if it needs more rows.
        """
        requests: list[AnswerRequest] = []
        while self and len(requests) < count:
            queue = self._urgent or self._routine
            rows -= len(queue[0].writers)
            if rows < 0 and (requests or not idle):
                break
            requests.append(queue.popleft())
        return requests

    def forget_withdrawn(self) -> None:
        """Remove withdrawn requests, which fail with Canceled."""
        for queue in (self._urgent, self._routine):
            for request in [request for request in queue if request.withdrawn()]:
                queue.remove(request)
