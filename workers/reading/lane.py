"""An extra thread that finds work in the database, while no other thread takes messages.

The message that arrives later finds nothing to do.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from service.monitoring.background import Task, in_thread
from service.store import Store


class Lane(ABC):
    """An extra thread for one kind of work of one model.

    Attributes:
        task: Name of the thread and of its task.
        look_seconds: Seconds between two looks into the database.
    """

    task: ClassVar[str]
    look_seconds: ClassVar[float]

    def __init__(
        self, store: Store, model: str, busy: Callable[[], bool], work: Callable[[str], None]
    ) -> None:
        """Set up the lane; `open` starts it.

        Args:
            store: The store.
            model: Name of the model whose work it takes.
            busy: Returns whether no other thread can take work now.
            work: The task, which claims the work by its id and does it.
        """
        self._store = store
        self._model = model
        self._busy = busy
        self._work = work
        self._stop = threading.Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take work for the duration of the block, then finish the current one."""
        with in_thread(self._run, self._stop, self.task):
            yield

    def _run(self) -> None:
        task = Task(self.task)
        while not self._stop.wait(self.look_seconds):
            task.attempt(self._look)

    @abstractmethod
    def _look(self) -> None:
        """Take the next work, if it may be taken now."""
