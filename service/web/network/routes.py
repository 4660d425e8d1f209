"""`/network` and `/api/network`, with pause and resume of a destination."""

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
from service.web.network.actions import pause_destination, resume_destination
from service.web.network.destination_test import test_page
from service.web.network.support import bundle_file
from service.web.network.view import NetworkView, as_json, network_view

_ADMINS: Final = frozenset({Role.ADMIN})


def _view(here: AppContext) -> NetworkView:
    return network_view(here.store, here.settings)


async def network_page(request: Request) -> Response:
    """Answer with the page of calling AEs and destinations."""
    here = app_context_of(request)
    view = await run_in_threadpool(_view, here)
    return answer(
        request,
        "network.html",
        area="network",
        view=view,
        receiver=here.settings.receiver,
        pause_alert_hours=here.settings.delivery.pause_alert_hours,
    )


async def network_json(request: Request) -> Response:
    """Answer with the calling AEs and destinations."""
    view = await run_in_threadpool(_view, app_context_of(request))
    return JSONResponse(as_json(view))


async def _pause(request: Request, texts: Mapping[str, str]) -> None:
    here, name = app_context_of(request), request.path_params["name"]
    await run_in_threadpool(pause_destination, request, here, name, texts["reason"])


async def _resume(request: Request, texts: Mapping[str, str]) -> None:
    del texts
    here, name = app_context_of(request), request.path_params["name"]
    await run_in_threadpool(resume_destination, request, here, name)


_CHANGES: Final = (("pause", _pause, ("reason",)), ("resume", _resume, ()))

NETWORK_ROUTES: Final = [
    guarded("/network", network_page, roles=_ADMINS),
    guarded("/destinations/{name}/test", test_page, roles=_ADMINS, methods=("POST",)),
    guarded("/support-bundle", bundle_file, roles=_ADMINS, methods=("POST",)),
    guarded("/api/network", network_json, roles=_ADMINS, scope=Scope.READ),
    *[
        guarded(
            f"/destinations/{{name}}/{word}",
            by_form(change, *keys, page="network"),
            roles=_ADMINS,
            methods=("POST",),
        )
        for word, change, keys in _CHANGES
    ],
    *[
        guarded(
            f"/api/destinations/{{name}}/{word}",
            by_json(change, *keys, answer=network_json),
            roles=_ADMINS,
            scope=Scope.ADMIN,
            methods=("POST",),
        )
        for word, change, keys in _CHANGES
    ],
]
