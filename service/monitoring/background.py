"""Repeated background tasks: an unexpected error is logged and shown, and the task is tried again."""

import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar
from weakref import WeakSet

from dicom.error_boundary import places
from service.log import get_logger

T = TypeVar("T")

log = get_logger(__name__)


# The tasks of this process. Weak references: a task that is no longer used is removed by itself.
_TASKS: Final[WeakSet["Task"]] = WeakSet()
_TURN: Final = threading.Lock()


def failing() -> str:
    """Return the names of this process's failing tasks, separated by commas, or ""."""
    with _TURN:
        names = sorted({task.name for task in _TASKS if task.fault})
    return ", ".join(names)


@contextmanager
def in_thread(
    run: Callable[[], None], stop: threading.Event, name: str, *, join_seconds: float | None = None
) -> Iterator[None]:
    """Run a function in a daemon thread for the length of the block, then stop it and wait.

    Args:
        run: The function; it returns when `stop` is set.
        stop: Set at the end of the block.
        name: Name of the thread.
        join_seconds: Longest time to wait for its end; None: until it has ended.
    """
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(join_seconds)


class Task:
    """One repeated task; it counts as failing from an unexpected error until it succeeds again."""

    def __init__(self, name: str, *, passed_on: tuple[type[Exception], ...] = ()) -> None:
        """Take the task's name and the errors that its caller handles.

        Args:
            name: For the log and the page; it must name no Study and no patient.
            passed_on: Errors that `attempt` raises again; they do not change whether the task fails.
        """
        self.name = name
        self._passed_on = passed_on
        self._error = ""
        with _TURN:
            _TASKS.add(self)

    @property
    def fault(self) -> str:
        """A sentence while the task fails, else ""."""
        if not self._error:
            return ""
        return f'The task "{self.name}" fails ({self._error}) and is tried again: see the log.'

    def attempt(self, work: Callable[[], object]) -> bool:
        """Do `work`; return whether it ended without an unexpected error."""
        return self.attempt_each(lambda _: work(), (None,))

    def attempt_each(self, work: Callable[[T], object], items: Iterable[T]) -> bool:
        """Do `work` for each item, also after a failed one; return whether none failed."""
        errors = []
        for item in items:
            try:
                work(item)
            except self._passed_on:
                raise
            except Exception as error:  # noqa: BLE001 - the edge: a task continues after a bug
                errors.append(error)
        return self._ended(errors)

    async def attempt_async(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Do the same for a coroutine; CancelledError is raised again."""
        try:
            await work()
        except self._passed_on:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: a task continues after a bug
            return self._ended([error])
        return self._ended([])

    def _ended(self, errors: Sequence[Exception]) -> bool:
        name = type(errors[0]).__name__ if errors else ""
        if name == self._error:
            return not errors  # the same error again is not logged again
        self._error = name
        if errors:
            # Without the error's message, which may quote a patient's value.
            log.error("task_failed", task=self.name, reason=name, places=places(errors[0]))
        else:
            log.info("task_recovered", task=self.name)
        return not errors
