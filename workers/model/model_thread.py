"""The thread of an engine: it ends before the interpreter does."""

import atexit
import threading
from collections.abc import Callable
from typing import Final

# A step that takes longer than this at the end of the process is a device that does not answer.
_LAST_SECONDS: Final = 30.0


class ModelThread:
    """Runs a model in a daemon thread, which is joined when the process ends.

    Once finalization has begun, CPython ends a daemon thread at its next use of the interpreter. In the
    middle of a step this unwinds C++ frames that must not be unwound, and the process aborts (SIGABRT)
    in place of its own exit status. The thread is a daemon nevertheless: a device that does not answer
    must not keep the process alive.
    """

    def __init__(self, run: Callable[[], None], *, name: str, stop: Callable[[], None]) -> None:
        """Prepare the thread.

        Args:
            run: The loop of the engine.
            name: Name of the thread.
            stop: Makes `run` return after the step that it is in; called from another thread.
        """
        self._stop = stop
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        atexit.register(self.end, _LAST_SECONDS)
        self._thread.start()

    def end(self, timeout: float | None = None) -> None:
        """Stop the loop and wait until the thread has ended, at most `timeout` seconds."""
        atexit.unregister(self.end)
        self._stop()
        self._thread.join(timeout)
