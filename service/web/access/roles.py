"""Which roles and scopes each route needs: declared with the route, checked when the process starts.

    guarded("/studies/{study_uid}", study, roles=EVERYONE)
    guarded("/api/jobs", jobs, roles=EVERYONE, scope=Scope.READ)
    guarded("/mine", mine, roles={Role.RADIOLOGIST})

A route without a declaration makes the process fail at its start (`check_declared`), so that nothing
is served without a decision about who may see it. Routes of a mounted application declare theirs by
`declare(endpoint, access)`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Scope as Connection

from service.accounts import Role
from service.tokens import Scope

EVERYONE: Final = frozenset(Role)
_DECLARED: Final = "wetread_access"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may use a route.

    Attributes:
        roles: A person needs one of these.
        scope: What a bearer token needs; no token is accepted when None.
        is_open: Whether it is served without a login; its answer must hold nothing of a patient.
        reads_login: Whether an open route looks who is logged in, to tell more.
        over_plain_http: Whether it is served over plain HTTP from other machines too.
        counts_as_use: Whether a request starts the idle time of the session anew; not those that a
            page makes by itself.
    """

    roles: frozenset[Role] = frozenset()
    scope: Scope | None = None
    is_open: bool = False
    reads_login: bool = False
    over_plain_http: bool = False
    counts_as_use: bool = True


OPEN: Final = Access(is_open=True)
PROBE: Final = Access(is_open=True, over_plain_http=True)


class UndeclaredRoute(TypeError):
    """A route does not declare who may use it."""


def guarded(
    path: str,
    endpoint: Callable[..., Any],
    *,
    roles: Collection[Role] = (),
    scope: Scope | None = None,
    methods: Sequence[str] = ("GET",),
    access: Access | None = None,
) -> Route:
    """Return a route that declares who may use it.

    Args:
        path: As for `starlette.routing.Route`.
        endpoint: The handler.
        roles: A person needs one of these.
        scope: What a bearer token needs; no token is accepted when None.
        methods: As for `Route`.
        access: The declaration in full, in place of `roles` and `scope`.
    """
    route = Route(path, endpoint, methods=list(methods))
    declare(route, access or Access(roles=frozenset(roles), scope=scope))
    return route


def declare(target: object, access: Access) -> None:
    """Declare who may use a route, a mount, or an endpoint of a mounted application.

    Raises:
        UndeclaredRoute: The declaration permits no access.
    """
    if not (access.roles or access.scope or access.is_open):
        raise UndeclaredRoute(f"{target!r}: declares neither roles nor a scope")
    setattr(target, _DECLARED, access)


def check_declared(routes: Iterable[BaseRoute], under: str = "") -> None:
    """Check that each route declares who may use it.

    Raises:
        UndeclaredRoute: Names the first that does not.
    """
    for route in routes:
        path = under + getattr(route, "path", repr(route))
        if access_declared_by(route) is not None:
            continue
        inner = route.routes if isinstance(route, Mount) else None
        if not inner:
            raise UndeclaredRoute(f"the route {path} does not declare who may use it")
        check_declared(inner, path)


def access_of(routes: Iterable[BaseRoute], connection: Connection) -> Access | None:
    """Return the declaration of the route that will answer a request; None if there is no route.

    The same route is chosen as by `starlette.routing.Router`: the first that matches in full, else
    the first whose methods do not include the request's.
    """
    partial: Access | None = None
    for route in routes:
        match, child = route.matches(connection)
        if match is Match.NONE:
            continue
        found = access_declared_by(route)
        if found is None and isinstance(route, Mount) and route.routes:
            found = access_of(route.routes, {**connection, **child})
        if match is Match.FULL:
            return found
        partial = partial or found
    return partial


def access_declared_by(route: BaseRoute) -> Access | None:
    """Return what a route declares, at itself or at its endpoint; None if it declares nothing."""
    own: Access | None = getattr(route, _DECLARED, None)
    return own or getattr(getattr(route, "endpoint", None), _DECLARED, None)
