"""A server that waits for nobody for ever, and lets its answer arrive before it closes.

uvicorn gives a connection that says nothing, or half a request, all the time in the world; and when an
answer comes before the body has been read, closing at once makes the kernel throw that answer away.
"""

import asyncio
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.system.uvicorn_private import LIBRARY, AdaptedProtocol

_REQUEST_SECONDS: Final = 15.0
_MOST_SILENT: Final = 256
# More than any that may send: who has no token is answered, and then listened to for a while.
_MOST_OPEN: Final = 2048
_DRAIN_SECONDS: Final = 5.0
_DRAIN_BYTES: Final = 64 * 2**20


_Lines = WeakKeyDictionary[object, dict["TimeoutH11Protocol", None]]


class TimeoutH11Protocol(AdaptedProtocol):
    """Closes connections on which no request arrives whole, the oldest when they are too many."""

    # Of each server those that may be silent, the oldest first.
    _silent: ClassVar[_Lines] = WeakKeyDictionary()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the peer a time within which its request must have come; close one too many."""
        super().connection_made(transport)
        if self.open_connections > _MOST_OPEN:
            transport.abort()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._close_if_silent)
        self._line_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limit with the connection."""
        self._deadline.cancel()
        self._silent[self.owner].pop(self, None)
        super().connection_lost(exc)

    def note_response_end(self) -> None:
        """Give the peer its time again, for the next request."""
        self._deadline.cancel()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._close_if_silent)
        self._line_up()

    def _line_up(self) -> None:
        """Be the last of those that may be silent; where they are too many the first must go."""
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


# With another version of uvicorn its own protocol serves, without our time limits.
HTTP_PROTOCOL: Final[type[TimeoutH11Protocol] | str] = (
    TimeoutH11Protocol if LIBRARY.is_tried else "h11"
)


class LingeringClose:
    """ASGI middleware: an answer that comes before the body is read arrives all the same.

    The answer is sent at once; then what the peer still sends is thrown away, within limits, before
    the connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and end its answer when its body has ended."""
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
            await send({**message, "more_body": True})
            if not message.get("more_body", False):
                if not _is_cut_short():
                    await _drain(receive)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, noting, sending)


def _is_cut_short() -> bool:
    """Return whether a stop of the server has cancelled this request: then nobody waits for it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _drain(receive: Receive) -> None:
    """Throw away what still comes, for a while."""
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
