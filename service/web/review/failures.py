"""Answers for errors of reviews and decisions; each carries what the person needs to go on."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import InvalidReview
from service.review.conflicts import (
    AlreadyDecided,
    CannotDecide,
    ReviewConflict,
    TooManyQuestions,
    VersionConflict,
)
from service.sentence import capitalized, ended
from service.web.app_context import app_context_of
from service.web.review.answers import decisions_json, stored_json
from service.web.review.requests import etag

Handler = Callable[[Request, Exception], Awaitable[Response]]


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": _sentence(error)}, 400)


async def _answer_version(_request: Request, error: Exception) -> Response:
    current = error.current if isinstance(error, VersionConflict) else None
    stored = stored_json(current) if current else None
    version = current.version if current else 0
    body = {"error": _sentence(error), "current": stored}
    return JSONResponse(body, 412, headers={"ETag": etag(version)})


async def _answer_too_many(_request: Request, error: Exception) -> Response:
    wait = error.retry_after if isinstance(error, TooManyQuestions) else 60
    return JSONResponse({"error": _sentence(error)}, 429, headers={"Retry-After": str(wait)})


async def _answer_conflict(request: Request, error: Exception) -> Response:
    body: dict[str, Any] = {"error": _sentence(error)}
    if isinstance(error, CannotDecide):
        body["obstacle"] = error.obstacle.value
    if isinstance(error, AlreadyDecided) and error.standing is not None:
        (body["decision"],) = decisions_json(app_context_of(request).store, [error.standing])
    return JSONResponse(body, 409)


def _sentence(error: Exception) -> str:
    return ended(capitalized(str(error)))


REVIEW_HANDLERS: Final[dict[type[Exception], Handler]] = {
    InvalidReview: _answer_invalid,
    VersionConflict: _answer_version,
    TooManyQuestions: _answer_too_many,
    ReviewConflict: _answer_conflict,
}
