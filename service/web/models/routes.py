"""`/models` and `/api/models`, with the switches of an administrator."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from service.accounts import Role
from service.settings.advice import cautions
from service.tokens import Scope
from service.web.access.roles import guarded
from service.web.api import body_of
from service.web.app_context import AppContext, app_context_of
from service.web.models.actions import start_drafting, stop_drafting, use_model
from service.web.models.view import DAYS, READINGS, ModelsView, as_json, models_view
from service.web.render import page, root_of

_ADMINS: Final = frozenset({Role.ADMIN})


def _view(here: AppContext) -> ModelsView:
    return models_view(here.store, here.settings, here.observer.situation())


async def models_page(request: Request) -> Response:
    """Answer with the page of models."""
    here = app_context_of(request)
    view = await run_in_threadpool(_view, here)
    html = page(
        "models.html",
        root=root_of(request.url.path),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        area="models",
        view=view,
        days=DAYS,
        readings=READINGS,
        notified=[each.name for each in here.settings.destinations if each.not_analysed],
    )
    return HTMLResponse(html)


async def models_json(request: Request) -> Response:
    """Answer with the models, the choice for new studies and the stop of drafting."""
    view = await run_in_threadpool(_view, app_context_of(request))
    return JSONResponse(as_json(view))


async def _change(request: Request, word: str, given: dict[str, Any]) -> None:
    here = app_context_of(request)
    value = given.get("model" if word == "use" else "reason", "")
    if not isinstance(value, str):
        raise HTTPException(400, "The values are texts.")
    match word:
        case "use":
            await run_in_threadpool(use_model, request, here, value)
        case "stop":
            await run_in_threadpool(stop_drafting, request, here, value)
        case _:
            await run_in_threadpool(start_drafting, request, here)


def _form(word: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=3)
        await _change(request, word, {key: str(form.get(key, "")) for key in ("model", "reason")})
        return RedirectResponse(f"{root_of(request.url.path)}models", status_code=303)

    return handler


def _api(word: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        await _change(request, word, await body_of(request))
        return await models_json(request)

    return handler


MODEL_ROUTES: Final = [
    guarded("/models", models_page, roles=_ADMINS),
    guarded("/models/use", _form("use"), roles=_ADMINS, methods=("POST",)),
    guarded("/drafting/stop", _form("stop"), roles=_ADMINS, methods=("POST",)),
    guarded("/drafting/start", _form("start"), roles=_ADMINS, methods=("POST",)),
    guarded("/api/models", models_json, roles=_ADMINS, scope=Scope.READ),
    guarded("/api/models/use", _api("use"), roles=_ADMINS, scope=Scope.ADMIN, methods=("POST",)),
    guarded(
        "/api/drafting/stop", _api("stop"), roles=_ADMINS, scope=Scope.ADMIN, methods=("POST",)
    ),
    guarded(
        "/api/drafting/start", _api("start"), roles=_ADMINS, scope=Scope.ADMIN, methods=("POST",)
    ),
]
