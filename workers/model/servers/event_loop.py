"""An event loop in a thread of its own, for callers that wait in other threads and may withdraw."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from workers.model.errors import Canceled, EngineStopped

Result = TypeVar("Result")
_LOOK_SECONDS: Final = 0.1  # how soon a withdrawn request ends


class EventLoop:
    """Runs coroutines for callers in other threads."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)
        self._closed = False
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result], canceled: Callable[[], bool]) -> Result:
        """Return the result of a coroutine.

        Args:
            coroutine: Canceled when the caller withdraws, so that its connection closes.
            canceled: Called several times a second; True withdraws.

        Raises:
            Canceled: `canceled` returned True.
            EngineStopped: The loop is closed.
        """
        if self._closed:
            coroutine.close()
            raise EngineStopped("the connection to the model server is closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        while not _is_over(future):
            if canceled():
                future.cancel()
                raise Canceled("the request was withdrawn")
        try:
            return future.result()
        except CancelledError:
            raise EngineStopped("the connection to the model server was closed") from None

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel what runs, run `last`, and end the thread."""
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._cancel_others(), self._loop).result()
        asyncio.run_coroutine_threadsafe(last, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_others(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _is_over(future: "Future[Any]") -> bool:
    """Wait a moment; return whether the future has a result, an error, or was canceled."""
    try:
        future.exception(timeout=_LOOK_SECONDS)
    except TimeoutError:
        return future.done()
    except CancelledError:
        return True
    return True
