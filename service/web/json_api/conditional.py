"""ETags of responses, and 304 for a response that the client has already (RFC 9110 13.1.2)."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_DIGITS: Final = 32


def conditional(handler: Handler) -> Handler:
    """Return the handler of a GET whose response has an ETag; If-None-Match with it gets 304.

    The ETag covers the whole body. A response that has an ETag of its own, the version of an edited
    text, keeps it: the version does not cover who has the text open, nor an obstacle that appeared, so
    that such a response is always sent.
    """

    @wraps(handler)
    async def answer(request: Request) -> Response:
        response = await handler(request)
        if response.status_code != _OK or "etag" in response.headers:
            return response
        etag = f'"{hashlib.sha256(response.body).hexdigest()[:_DIGITS]}"'
        response.headers["ETag"] = etag
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=_NOT_MODIFIED, headers={"ETag": etag})
        return response

    return answer


def _matches(given: str, etag: str) -> bool:
    """Return whether If-None-Match names the ETag; weak comparison (RFC 9110 8.8.3.2)."""
    names = (each.strip().removeprefix("W/") for each in given.split(","))
    return any(each in {etag, "*"} for each in names)
