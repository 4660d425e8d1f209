"""The mount of the JSON API under `/api`; FastAPI is imported when it is needed first.

The web process must start with less than 2 s of CPU time; FastAPI and the models of all responses add
0.2 to 0.3 s. The declarations of the routes need neither: they are checked at the start.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.access.roles import access_declared_by, declare
from service.web.app_context import AppContext
from service.web.openapi.prefix import PREFIX

# After the start, the API is loaded without waiting for its first request.
WARM_SECONDS: Final = 3.0


class ApiMount:
    """ASGI application that builds the FastAPI application when it is needed first.

    Attributes:
        routes: The routes below the prefix, with their declarations, for the guard.
    """

    def __init__(
        self, declared: Sequence[Route], here: AppContext, handlers: Mapping[Any, Any]
    ) -> None:
        """Take the declared routes, with the prefix in their paths."""
        self.routes: list[BaseRoute] = [_below_prefix(each) for each in declared]
        self._declared = declared
        self._here = here
        self._handlers = handlers
        self._lock = threading.Lock()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._app
        if app is None:
            app = await run_in_threadpool(self.load)
        await app(scope, receive, send)

    def load(self) -> ASGIApp:
        """Return the FastAPI application; build it if it is not built yet."""
        with self._lock:
            if self._app is None:
                from service.web.openapi.application import make_api  # noqa: PLC0415 - slow to load

                self._app = make_api(self._declared, self._here, self._handlers)
            return self._app


def mounted(
    routes: Iterable[BaseRoute], here: AppContext, handlers: Mapping[Any, Any]
) -> tuple[list[BaseRoute], ApiMount]:
    """Return the routes with those of the JSON API moved into one mount, and the mounted application.

    Args:
        routes: All routes; a route of the API has the prefix in its path.
        here: The shared objects of the process.
        handlers: Handlers of errors, by the class of the error.
    """
    given = list(routes)
    api = api_routes(given)
    app = ApiMount(api, here, handlers)
    return [*(each for each in given if each not in api), Mount(PREFIX, app)], app


def api_routes(routes: Iterable[BaseRoute]) -> list[Route]:
    """Return the routes of the JSON API among `routes`."""
    return [
        each for each in routes if isinstance(each, Route) and each.path.startswith(f"{PREFIX}/")
    ]


async def openapi_json(request: Request) -> JSONResponse:
    """Answer with the OpenAPI description of the API."""
    return JSONResponse(request.app.openapi())


def _below_prefix(route: Route) -> Route:
    methods = None if route.methods is None else sorted(route.methods)
    inner = Route(route.path.removeprefix(PREFIX), route.endpoint, methods=methods)
    access = access_declared_by(route)
    if access is not None:
        declare(inner, access)
    return inner
