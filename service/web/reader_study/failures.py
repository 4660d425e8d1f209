"""Answers for errors of reader studies, as JSON for scripts and as pages for persons."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.reader_study.errors import InvalidReaderStudy, ReaderStudyConflict
from service.web.failures import answer_conflict

Handler = Callable[[Request, Exception], Awaitable[Response]]


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _answer_conflict(request: Request, error: Exception) -> Response:
    return await answer_conflict(request, str(error))


READER_STUDY_HANDLERS: Final[dict[type[Exception], Handler]] = {
    InvalidReaderStudy: _answer_invalid,
    ReaderStudyConflict: _answer_conflict,
}
