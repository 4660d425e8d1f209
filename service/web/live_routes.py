"""The streams of live pages: one for a page, and one for all pages of a browser.

A live page has a route below `/live/`, made by `live_route` from a function that returns its `LiveView`.
`/live?view=/live/queue&view=/live/studies/1.2.3` is one stream of several: browsers open few connections
to one host, and a stream for each page would take them all (static/stream.js).
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from service.errors import NotFound
from service.web.access.current import current_session, has_role
from service.web.access.roles import EVERYONE, Access, access_of, guarded
from service.web.app_context import app_context_of
from service.web.live import LiveView

View = Callable[[Request], Awaitable[LiveView]]
LIVE: Final = Access(roles=EVERYONE, counts_as_use=False)
# Of the page of a study there are two: questions, and other persons.
_MOST_VIEWS: Final = 64
_VIEW: Final = "wetread_view"


def live_route(path: str, view: View, access: Access = LIVE) -> Route:
    """Return the route of one live page's stream."""

    async def endpoint(request: Request) -> Response:
        found = await view(request)
        return app_context_of(request).hub.stream(found.key, found.render, _login_check(request))

    setattr(endpoint, _VIEW, view)
    return guarded(path, endpoint, access=access)


def all_live(routes: Iterable[BaseRoute]) -> Route:
    """Return the route `/live` of one stream for several pages, whose streams are among `routes`."""
    candidates = list(routes)

    async def endpoint(request: Request) -> Response:
        names = dict.fromkeys(request.query_params.getlist("view"))
        if not 0 < len(names) <= _MOST_VIEWS:
            raise HTTPException(400, f"view: 1 to {_MOST_VIEWS} paths of live pages.")
        views = {name: await _view_of(request, name, candidates) for name in names}
        known = {name: view for name, view in views.items() if view is not None}
        if not known:
            raise HTTPException(404, "No such live page.")
        return app_context_of(request).hub.stream_of(known, _login_check(request))

    return guarded("/live", endpoint, access=LIVE)


async def _view_of(request: Request, name: str, routes: list[BaseRoute]) -> LiveView | None:
    """Return the view that a path names; None if there is none, or not for this person."""
    parts = urlsplit(name)
    path = f"/{parts.path.lstrip('/')}"
    scope = {**request.scope, "path": path, "raw_path": path.encode(), "root_path": ""}
    scope["query_string"] = parts.query.encode()
    for route in routes:
        match, child = route.matches(scope)
        view: View | None = getattr(getattr(route, "endpoint", None), _VIEW, None)
        if match is not Match.FULL or view is None:
            continue
        access = access_of([route], scope)
        if access is None or not has_role(request, *access.roles):
            return None
        try:
            return await view(Request({**scope, **child}))
        except (HTTPException, NotFound):
            return None
    return None


def _login_check(request: Request) -> Callable[[], Awaitable[bool]]:
    """Return a function that states whether the login of a stream is still in force."""
    sessions, session = app_context_of(request).sessions, current_session(request)

    async def is_valid() -> bool:
        return session is None or await sessions.is_in_force(session)

    return is_valid
