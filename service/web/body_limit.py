"""ASGI middleware that limits request bodies, with and without a Content-Length."""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 16 * 2**10
# Texts of reports are longer than any other body.
_REPORT_BYTES: Final = 256 * 2**10
_REPORT_PATHS: Final = ("/review", "/decisions")
_FINAL_REPORTS: Final = "/api/final-reports"
_READER_STUDIES: Final = "/reader-studies/"
# The ids and states of 1,000 jobs.
_BATCH_BYTES: Final = 64 * 2**10
_BATCHES: Final = frozenset({"/queue/batch", "/jobs/again"})


class BodyLimit:
    """Counts the bytes of a body as they arrive: a chunked request has no length (RFC 9112 7.1)."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`, whose exception handlers answer 413."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading a body that is too large raises HTTPException (413)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = int(Headers(scope=scope).get("content-length", "0"))
        most = most_bytes(scope["path"])
        received = 0

        async def counting() -> Message:
            nonlocal received
            _check(announced, most)  # before any of it is read
            message = await receive()
            received += len(message.get("body", b""))
            _check(received, most)
            return message

        await self._app(scope, counting, send)


def most_bytes(path: str) -> int:
    """Return the largest body of requests to this path."""
    if path in _BATCHES:
        return _BATCH_BYTES
    holds_report = path.startswith("/api/jobs/") and path.endswith(_REPORT_PATHS)
    is_rating = path.startswith(_READER_STUDIES) and path.endswith("/rating")
    holds_report = holds_report or is_rating or path == _FINAL_REPORTS
    return _REPORT_BYTES if holds_report else MOST_BYTES


def _check(length: int, most: int) -> None:
    if length > most:
        raise HTTPException(413, f"The request body is longer than {most} bytes.")
