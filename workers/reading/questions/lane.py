"""Answers questions in an extra thread when no other thread is free, or when a message was lost.

As in the urgent lane (`workers.reading.urgent_lane`), the question is found in the database; the message
that arrives later finds nothing to do.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.store import Store

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.5
_MESSAGE_LOST: Final = timedelta(seconds=3)


class QuestionLane:
    """An extra thread for questions about images."""

    def __init__(
        self, store: Store, model: str, busy: Callable[[], bool], answer: Callable[[str], None]
    ) -> None:
        """Set up the lane; `open` starts it.

        Args:
            store: The store.
            model: Name of the model whose questions it takes.
            busy: Returns whether no other thread can take a question now.
            answer: The task, which claims a question by its id and answers it.
        """
        self._store = store
        self._model = model
        self._busy = busy
        self._answer = answer
        self._stop = threading.Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take questions for the duration of the block, then finish the current one."""
        thread = threading.Thread(target=self._run, name="questions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        task = Task("questions")
        while not self._stop.wait(_LOOK_SECONDS):
            task.attempt(self._look)

    def _look(self) -> None:
        try:
            before = None if self._busy() else self._store.now() - _MESSAGE_LOST
            question_id = self._store.next_question(self._model, before)
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return
        if question_id is not None:
            self._answer(question_id)
