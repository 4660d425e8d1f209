"""The image of a reader's current item, below an address that names neither the study nor the image."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import NotFound
from service.reader_study.study import CurrentItem
from service.store import Store
from service.web.access.current import current_person
from service.web.app_context import app_context_of
from service.web.auditing import audit_view
from service.web.images.answers import level_response, shown, stored_image


async def description(request: Request) -> Response:
    """Answer with what the viewer needs to show the image (docs/api.md)."""
    path = await _path(request)
    return JSONResponse(await shown(app_context_of(request).levels.description(path)))


async def level(request: Request) -> Response:
    """Answer with one level of the image (docs/api.md)."""
    path = await _path(request)
    return await level_response(app_context_of(request).levels, path, request.path_params["level"])


async def _path(request: Request) -> Path:
    here, person = app_context_of(request), current_person(request)
    study_id, item_id = (request.path_params[each] for each in ("reader_study", "item"))
    item = await run_in_threadpool(here.store.current_item, study_id, person.id)
    if item is None or item.id != item_id:
        raise NotFound("This is not your current item.")
    path = await run_in_threadpool(_stored, here.store, item)
    await audit_view(request, item.study_uid)
    return path


def _stored(store: Store, item: CurrentItem) -> Path:
    absent = "The image of this item is no longer stored: tell the administrator."
    return stored_image(store, item.study_uid, item.sop_instance_uid, absent)
