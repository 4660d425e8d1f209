"""Turns errors into responses: a page for people, JSON for programs. Faults are logged."""

import asyncio
import traceback
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import NotFound, QueryTooSlow, SelectionError, StoreError, StoreNotWritable
from service.jobs import IllegalTransition
from service.log import get_logger
from service.settings.advice import cautions
from service.web.app_context import app_context_of
from service.web.render import page, root_of

_TITLES: Final = {
    400: "Invalid request",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    413: "Too large",
    415: "Invalid request",
    422: "This image cannot be shown",
    503: "Busy",
}

log = get_logger(__name__)


class ErrorMiddleware:
    """ASGI middleware that turns unexpected errors into a log line and a 500 response.

    The log gets the class and the place of the error, not its message, which may quote a value.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer 500 if it raises, 503 if the stop of the server cancels it."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            # The stop of the server cancels requests that take too long. Not raised again: no other
            # code awaits this task.
            if scope["type"] != "http":
                raise
            log.warning("request_canceled", reason="the server is stopping")
            if not begun:
                await _stopping(Request(scope))(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the web request is one of the three edges
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "request_failed",
                error=type(error).__name__,
                place=f"{place.name}:{place.lineno}",
            )
            if scope["type"] == "http" and not begun:
                await _broken(Request(scope))(scope, receive, send)


async def _answer_not_found(request: Request, error: Exception) -> Response:
    return _failure(request, 404, "Not found", str(error))


async def _answer_illegal(request: Request, error: Exception) -> Response:
    message = f"{str(error).capitalize()}. Its state may have changed since this page was loaded."
    return _failure(request, 409, "Not possible in this state", message)


async def _answer_selection(request: Request, error: Exception) -> Response:
    return _failure(request, 400, _TITLES[400], f"{str(error).capitalize()}.")


async def answer_store_error(request: Request, error: Exception) -> Response:
    """Return the 503 response that states what is wrong with the database."""
    log.warning("store_failed", reason=type(error).__name__)
    message = (
        "The database does not answer, or has another schema than this version needs. No job is lost: "
        "see /readyz and the log."
    )
    if isinstance(error, StoreNotWritable):
        message = f"{str(error).capitalize()}. No image is accepted until that is corrected."
    return _failure(request, 503, "The database cannot be used now", message)


async def _answer_too_slow(request: Request, error: Exception) -> Response:
    message = f"{str(error).capitalize()}."
    return _failure(request, 503, "The list takes too long", message)


async def _answer_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = error.detail if isinstance(error, HTTPException) else ""
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 404 and message == "Not Found":
        message = "There is no such page."
    return _failure(request, status, _TITLES.get(status, "The request failed"), message, headers)


async def answer_forbidden(request: Request, message: str) -> Response:
    """Return the 403 response, as a page or as JSON."""
    return _failure(request, 403, _TITLES[403], message)


async def answer_invalid(request: Request, message: str) -> Response:
    """Return the 400 response, as a page or as JSON."""
    return _failure(request, 400, _TITLES[400], message)


async def answer_unexpected(request: Request, _error: Exception) -> Response:
    """Return the 500 response of a mounted application; `ErrorMiddleware` writes the log."""
    return _broken(request)


async def answer_conflict(request: Request, message: str) -> Response:
    """Return the 409 response, as a page or as JSON."""
    return _failure(request, 409, "Not possible in this state", message)


def _broken(request: Request) -> Response:
    message = "This is an error in Wetread; the log has the details. Jobs are not affected."
    return _failure(request, 500, "Internal error", message)


def _stopping(request: Request) -> Response:
    message = "The server is stopping. Send again what was not acknowledged."
    return _failure(request, 503, _TITLES[503], message)


def _failure(
    request: Request,
    status: int,
    title: str,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    program = request.url.path.startswith(("/api/", "/live", "/dicom-web/", "/metrics"))
    if program or request.headers.get("accept") == "application/json":
        return JSONResponse({"error": message or title}, status, headers)
    # The STOW-RS process uses these error pages too, but has no AppContext.
    here = app_context_of(request) if hasattr(request.app.state, "app_context") else None
    html = page(
        "error.html",
        title=title,
        detail=message,
        root=root_of(request.url.path),
        back=root_of(request.url.path),
        back_text="To the start page",
        cautions=cautions(here.settings) if here else (),
    )
    return HTMLResponse(html, status, headers)


HANDLERS: Final = {
    NotFound: _answer_not_found,
    IllegalTransition: _answer_illegal,
    SelectionError: _answer_selection,
    QueryTooSlow: _answer_too_slow,
    StoreError: answer_store_error,
    HTTPException: _answer_http,
}
