"""ASGI middleware that limits request bodies, with and without a Content-Length."""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 16 * 2**10


class BodyLimit:
    """Counts the bytes of a body as they arrive: a chunked request has no length (RFC 9112 7.1)."""

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BYTES) -> None:
        """Wrap `app`, whose exception handlers answer 413."""
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading a body that is too large raises HTTPException (413)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = int(Headers(scope=scope).get("content-length", "0"))
        received = 0

        async def counting() -> Message:
            nonlocal received
            self._check(announced)  # before any of it is read
            message = await receive()
            received += len(message.get("body", b""))
            self._check(received)
            return message

        await self._app(scope, counting, send)

    def _check(self, length: int) -> None:
        if length > self._most:
            raise HTTPException(413, f"The request body is longer than {self._most} bytes.")
