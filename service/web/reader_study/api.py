"""Requests of the reading page: text of the current item, its rating, the guess of its author.

Each is recorded once: the same request again is answered alike and changes nothing. No answer depends
on the arm of a text.
"""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.reader_study.ratings import RatingEntry, author_of
from service.reader_study.words import Stage
from service.web.access.current import current_person
from service.web.api import body_of
from service.web.app_context import app_context_of
from service.web.auditing import audit_view


async def show_text(request: Request) -> JSONResponse:
    """Answer with the text of the current item, and record that it was shown."""
    store, where = app_context_of(request).store, _where(request)
    text = await run_in_threadpool(store.show_text, *where)
    item = await run_in_threadpool(store.current_item, *where[:2])
    if item is not None:
        await audit_view(request, item.study_uid)
    return JSONResponse({"text": text})


async def rate(request: Request) -> JSONResponse:
    """Record a rating."""
    body, store = await body_of(request), app_context_of(request).store
    where = _where(request)
    text = await run_in_threadpool(store.shown_text, *where)
    entry = RatingEntry.from_json(body, length=len(text))
    await run_in_threadpool(store.rate, *where, entry)
    return JSONResponse({"stage": Stage.RATED.value})


async def guess_author(request: Request) -> JSONResponse:
    """Record a guess, after the rating."""
    body, store = await body_of(request), app_context_of(request).store
    await run_in_threadpool(store.guess_author, *_where(request), author_of(body))
    return JSONResponse({"stage": Stage.GUESSED.value})


def _where(request: Request) -> tuple[str, str, str]:
    """Return the study, the person and the item of a request."""
    study_id, item_id = (request.path_params[each] for each in ("reader_study", "item"))
    return study_id, current_person(request).id, item_id
