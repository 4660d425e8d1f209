"""`/network` and `/api/network`, with pause and resume of a destination."""

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
from service.web.network.actions import pause_destination, resume_destination
from service.web.network.destination_test import test_page
from service.web.network.support import bundle_file
from service.web.network.view import NetworkView, as_json, network_view
from service.web.render import page, root_of

_ADMINS: Final = frozenset({Role.ADMIN})


def _view(here: AppContext) -> NetworkView:
    return network_view(here.store, here.settings)


async def network_page(request: Request) -> Response:
    """Answer with the page of calling AEs and destinations."""
    here = app_context_of(request)
    view = await run_in_threadpool(_view, here)
    html = page(
        "network.html",
        root=root_of(request.url.path),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        area="network",
        view=view,
        receiver=here.settings.receiver,
        pause_alert_hours=here.settings.delivery.pause_alert_hours,
    )
    return HTMLResponse(html)


async def network_json(request: Request) -> Response:
    """Answer with the calling AEs and destinations."""
    view = await run_in_threadpool(_view, app_context_of(request))
    return JSONResponse(as_json(view))


async def _change(request: Request, word: str, given: dict[str, Any]) -> None:
    here, name = app_context_of(request), request.path_params["name"]
    reason = given.get("reason", "")
    if not isinstance(reason, str):
        raise HTTPException(400, "The reason is a text.")
    if word == "pause":
        await run_in_threadpool(pause_destination, request, here, name, reason)
    else:
        await run_in_threadpool(resume_destination, request, here, name)


def _form(word: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=3)
        await _change(request, word, {"reason": str(form.get("reason", ""))})
        return RedirectResponse(f"{root_of(request.url.path)}network", status_code=303)

    return handler


def _api(word: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        await _change(request, word, await body_of(request))
        return await network_json(request)

    return handler


NETWORK_ROUTES: Final = [
    guarded("/network", network_page, roles=_ADMINS),
    guarded("/destinations/{name}/test", test_page, roles=_ADMINS, methods=("POST",)),
    guarded("/support-bundle", bundle_file, roles=_ADMINS, methods=("POST",)),
    guarded("/api/network", network_json, roles=_ADMINS, scope=Scope.READ),
    *[
        guarded(f"/destinations/{{name}}/{word}", _form(word), roles=_ADMINS, methods=("POST",))
        for word in ("pause", "resume")
    ],
    *[
        guarded(
            f"/api/destinations/{{name}}/{word}",
            _api(word),
            roles=_ADMINS,
            scope=Scope.ADMIN,
            methods=("POST",),
        )
        for word in ("pause", "resume")
    ],
]
