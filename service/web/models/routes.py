"""`/models` and `/api/models`, with the switches of an administrator."""

from collections.abc import Mapping
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import guarded
from service.web.app_context import AppContext, app_context_of
from service.web.forms.changes import by_form, by_json
from service.web.forms.frame import answer
from service.web.models.actions import start_drafting, stop_drafting, use_model
from service.web.models.view import DAYS, READINGS, ModelsView, as_json, models_view

_ADMINS: Final = frozenset({Role.ADMIN})


def _view(here: AppContext) -> ModelsView:
    return models_view(here.store, here.settings, here.observer.situation())


async def models_page(request: Request) -> Response:
    """Answer with the page of models."""
    here = app_context_of(request)
    view = await run_in_threadpool(_view, here)
    return answer(
        request,
        "models.html",
        area="models",
        view=view,
        days=DAYS,
        readings=READINGS,
        notified=[each.name for each in here.settings.destinations if each.not_analysed],
    )


async def models_json(request: Request) -> Response:
    """Answer with the models, the choice for new studies and the stop of drafting."""
    view = await run_in_threadpool(_view, app_context_of(request))
    return JSONResponse(as_json(view))


async def _use(request: Request, texts: Mapping[str, str]) -> None:
    await run_in_threadpool(use_model, request, app_context_of(request), texts["model"])


async def _stop(request: Request, texts: Mapping[str, str]) -> None:
    await run_in_threadpool(stop_drafting, request, app_context_of(request), texts["reason"])


async def _start(request: Request, texts: Mapping[str, str]) -> None:
    del texts
    await run_in_threadpool(start_drafting, request, app_context_of(request))


# Path below the root and below /api/, the change, and the texts that it takes.
_CHANGES: Final = (
    ("models/use", _use, ("model",)),
    ("drafting/stop", _stop, ("reason",)),
    ("drafting/start", _start, ()),
)

MODEL_ROUTES: Final = [
    guarded("/models", models_page, roles=_ADMINS),
    guarded("/api/models", models_json, roles=_ADMINS, scope=Scope.READ),
    *[
        guarded(f"/{path}", by_form(change, *keys, page="models"), roles=_ADMINS, methods=("POST",))
        for path, change, keys in _CHANGES
    ],
    *[
        guarded(
            f"/api/{path}",
            by_json(change, *keys, answer=models_json),
            roles=_ADMINS,
            scope=Scope.ADMIN,
            methods=("POST",),
        )
        for path, change, keys in _CHANGES
    ],
]
