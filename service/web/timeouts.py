"""Time limits for idle connections, and responses that arrive although the body was not read.

uvicorn waits without limit for a request that does not come, or comes in part. When a response is sent
before the body was read, closing the connection at once makes the kernel discard the response.
"""

import asyncio
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.system.uvicorn_private import LIBRARY, AdaptedProtocol

_REQUEST_SECONDS: Final = 15.0
_MOST_SILENT: Final = 256
# More than may upload: a request without a token is answered, and its connection drained for a while.
_MOST_OPEN: Final = 2048
_DRAIN_SECONDS: Final = 5.0
_DRAIN_BYTES: Final = 64 * 2**20


_Lines = WeakKeyDictionary[object, dict["TimeoutH11Protocol", None]]


class TimeoutH11Protocol(AdaptedProtocol):
    """Closes idle connections: those whose request is late, and the oldest if there are too many."""

    # For each server the connections that may be idle, oldest first.
    _silent: ClassVar[_Lines] = WeakKeyDictionary()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request; abort the connection if too many are open."""
        super().connection_made(transport)
        if self.open_connections > _MOST_OPEN:
            transport.abort()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._close_if_silent)
        self._line_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline and remove the connection from the idle list."""
        self._deadline.cancel()
        self._silent[self.owner].pop(self, None)
        super().connection_lost(exc)

    def note_response_end(self) -> None:
        """Restart the deadline, for the next request."""
        self._deadline.cancel()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._close_if_silent)
        self._line_up()

    def _line_up(self) -> None:
        """Move this connection to the end of the idle list; close the oldest if over the limit."""
        line = self._silent.setdefault(self.owner, {})
        line.pop(self, None)
        line[self] = None
        while len(line) > _MOST_SILENT:
            oldest = next(iter(line))
            del line[oldest]
            oldest._close_if_silent()  # noqa: SLF001 - of its own kind

    def _close_if_silent(self) -> None:
        if self.answers_nothing:
            self.transport.abort()


# With a version of uvicorn that was not tried its own protocol is used, without these time limits.
HTTP_PROTOCOL: Final[type[TimeoutH11Protocol] | str] = (
    TimeoutH11Protocol if LIBRARY.is_tested else "h11"
)


class LingeringClose:
    """ASGI middleware that delivers a response even if it is sent before the body was read.

    The response is sent at once; then the rest of the body is read and discarded, within limits,
    before the connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; end the response after the rest of the body was discarded."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

        async def noting() -> Message:
            nonlocal unread
            message = await receive()
            unread = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            if not unread:
                await send(message)
                return
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
                return
            # Kept open: uvicorn closes the connection at the end of the response.
            await send({**message, "more_body": True})
            if not message.get("more_body", False):
                if not _is_cut_short():
                    await _drain(receive)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, noting, sending)


def _is_cut_short() -> bool:
    """Return whether a stop of the server has canceled this request: then nothing is drained."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _drain(receive: Receive) -> None:
    """Read and discard the rest of the body, for at most 5 s and 64 MiB."""
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return
