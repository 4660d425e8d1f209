"""ASGI middleware that refuses an address with a NUL character, which no database column can hold."""

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.failures import answer_invalid

_MESSAGE: Final = "The address holds a NUL character (%00): remove it."


class AddressFilter:
    """Answers 400 before a handler passes such a text to the database."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] == "http" and _holds_nul(scope):
            response = await answer_invalid(Request(scope), _MESSAGE)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _holds_nul(scope: Scope) -> bool:
    return "\0" in scope["path"] or b"%00" in scope.get("query_string", b"")
