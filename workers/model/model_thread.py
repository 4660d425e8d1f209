"""The thread of an engine, which ends before the interpreter does, and the waits for its steps."""

import abc
import atexit
import contextlib
import functools
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Concatenate, Final, ParamSpec, TypeVar

from workers.model.errors import Canceled, EngineStopped, ModelError

# A step that takes longer than this at the end of the process is a device that does not answer.
_LAST_SECONDS: Final = 30.0
# The errors that a device, a file that is mapped into memory, or an image can cause.
STEP_FAULTS: Final = (RuntimeError, MemoryError, OSError, ModelError)

_T = TypeVar("_T")
_Given = ParamSpec("_Given")
_Model = TypeVar("_Model", bound="SteppingModel")


class ModelThread:
    """Runs a model in a daemon thread, which is joined when the process ends.

    Once finalization has begun, CPython ends a daemon thread at its next use of the interpreter. In the
    middle of a step this unwinds C++ frames that must not be unwound, and the process aborts (SIGABRT)
    in place of its own exit status. The thread is a daemon nevertheless: a device that does not answer
    must not keep the process alive.
    """

    def __init__(
        self,
        run: Callable[[], None],
        *,
        name: str,
        stop: Callable[[], None],
        await_callers: Callable[[float | None], None] = lambda _timeout: None,
    ) -> None:
        """Prepare the thread.

        Args:
            run: The loop of the engine.
            name: Name of the thread.
            stop: Makes `run` return after the step that it is in; called from another thread.
            await_callers: Waits until the threads of callers have left the model, at most so many
                seconds (None: as long as it takes).
        """
        self._stop = stop
        self._await_callers = await_callers
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        atexit.register(self.end, _LAST_SECONDS)
        self._thread.start()

    def end(self, timeout: float | None = None) -> None:
        """Stop the loop; wait until the thread has ended and callers have left the model.

        Args:
            timeout: Most seconds for both; None: as long as it takes.
        """
        atexit.unregister(self.end)
        begin = time.monotonic()
        self._stop()
        self._thread.join(timeout)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begin))
        self._await_callers(left)


def called(
    method: Callable[Concatenate[_Model, _Given], _T],
) -> Callable[Concatenate[_Model, _Given], _T]:
    """Let the end of the model, and of the process, wait for the callers of a method.

    The same holds for a caller's thread as for the thread of the model: a daemon thread may not be in a
    call of torch, or free a tensor, when finalization begins. The method raises EngineStopped after the
    end of the model.
    """

    @functools.wraps(method)
    def call(self: _Model, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _T:
        with self._calling():
            return method(self, *args, **kwargs)

    return call


class SteppingModel(abc.ABC):
    """A model that one thread owns; the thread answers many callers, one step after the other.

    A subclass starts `_thread` at the end of its constructor, adds one to `_steps` after each step, and
    wakes `_changed`, which guards `_closed` and its queue, for each new request. `called` decorates the
    methods that compute in the thread of a caller.
    """

    def __init__(self, *, name: str, step_timeout: float) -> None:
        """Prepare the thread; do not start it.

        Args:
            name: Name of the thread.
            step_timeout: Seconds without a step after which waiting callers get EngineStopped.
        """
        self._step_timeout = step_timeout
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._left = threading.Condition(lock)
        self._callers = 0
        self._closed = False
        self._steps = 0
        self._thread = ModelThread(
            self._run, name=name, stop=self._stop, await_callers=self._await_callers
        )

    @abc.abstractmethod
    def _run(self) -> None:
        """Take requests and make steps until `_closed`."""

    def close(self) -> None:
        """End the thread; unfinished requests fail with EngineStopped."""
        self._thread.end()

    def _stop(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _await_callers(self, timeout: float | None) -> None:
        with self._changed:
            self._left.wait_for(lambda: self._callers == 0, timeout)

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        with self._changed:
            self._check_open()
            self._callers += 1
        try:
            yield
        except BaseException as error:
            # The tensors of the call's frames are freed here, not where the caller drops the error.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            with self._changed:
                self._callers -= 1
                self._left.notify_all()

    def _check_open(self) -> None:
        """Raise EngineStopped if the thread has ended; call it with `_changed` held."""
        if self._closed:
            raise EngineStopped("the engine has ended")

    def _awaited(self, answer: Future[_T]) -> _T:
        """Wait for an answer; raise EngineStopped if no step ends within `step_timeout` seconds."""
        while True:
            steps = self._steps
            try:
                return answer.result(timeout=self._step_timeout)
            except TimeoutError:
                if answer.done():
                    # It came after the wait ended; an error of its own is raised here.
                    return answer.result()
                if self._steps == steps:
                    raise EngineStopped(
                        "the device has not answered within the step timeout"
                    ) from None

    def _succeeded(
        self,
        samples: Iterable[Future[_T]],
        faults: tuple[type[BaseException], ...] = STEP_FAULTS,
    ) -> Iterator[_T]:
        """Yield the samples that succeed; a sample that fails by `faults` does not fail the answer."""
        for one in samples:
            try:
                yield self._awaited(one)
            except (Canceled, EngineStopped):
                raise
            except faults:
                continue
