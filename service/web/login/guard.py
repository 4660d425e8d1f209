"""ASGI middleware that decides whether a request is served: transport, origin, login, role.

A route says who may use it (`service.web.access.roles`). Persons have a session cookie; programs have a
bearer token, or the user name and password of the settings, on routes that declare a scope. A request
with an Authorization header is never answered by its cookie.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.accounts import Session
from service.errors import StoreError
from service.log import get_logger
from service.settings.keys.sections import Web
from service.tokens import Scope as Allowed
from service.tokens import Token
from service.web.access.bearer import TokenAuthorizer, bearer_value
from service.web.access.current import SHOWN_PERSON
from service.web.access.headers import with_headers
from service.web.access.known_sessions import KnownSessions
from service.web.access.origin import SAFE_METHODS, is_same_origin
from service.web.access.roles import Access, access_of
from service.web.access.transport import IN_THE_CLEAR, transport_of
from service.web.failures import answer_forbidden, answer_store_error
from service.web.render import root_of

ACTOR_SUFFIX: Final = "web page"
# Seconds before a wrong password of a script is answered: slows down guessing.
_WRONG_PASSWORD_WAIT: Final = 0.5
# Of an address that does not exist: any valid login, token or password gets 404.
_NO_ROUTE: Final = Access()

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """Who makes a request: a person, a token, or a script with the password of the settings."""

    actor: str
    session: Session | None = None
    token: Token | None = None
    is_script: bool = False

    def may_use(self, access: Access) -> bool:
        """Return whether the identity has a role that the route needs; programs passed before."""
        return self.session is None or not access.roles or self.session.person.has(*access.roles)


class Guard:
    """Serves what the routes' declarations allow, and sets the security headers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Web,
        authorizer: TokenAuthorizer,
        sessions: KnownSessions,
        routes: list[BaseRoute],
    ) -> None:
        """Wrap `app`, which serves `routes`."""
        self._app = app
        self._settings = settings
        self._authorizer = authorizer
        self._sessions = sessions
        self._routes = routes
        password = settings.password.get_secret_value()
        self._script = f"{settings.username}:{password}".encode() if password else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on with `state.session`, `token` and `actor`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access = access_of(self._routes, scope) or _NO_ROUTE
        try:
            refusal = await self._refusal(scope, access)
        except StoreError as error:
            refusal = await answer_store_error(Request(scope), error)
        await (refusal or self._app)(scope, receive, with_headers(scope, send))

    async def _refusal(self, scope: Scope, access: Access) -> Response | None:
        headers = Headers(scope=scope)
        if not access.over_plain_http and not transport_of(scope).is_allowed(self._settings):
            return PlainTextResponse(f"{IN_THE_CLEAR}\n", status_code=421)
        programs = "authorization" in headers and _takes_programs(access)
        if scope["method"] not in SAFE_METHODS and not programs and not is_same_origin(headers):
            return await answer_forbidden(
                Request(scope), "Requests from other sites are not allowed."
            )
        if access.is_open:
            if access.reads_login:
                await self._note_login(scope, access, headers)
            return None
        return await self._login_refusal(scope, access, headers)

    async def _note_login(self, scope: Scope, access: Access, headers: Headers) -> None:
        """Note who makes a request that is answered in any case, also without a database."""
        with suppress(StoreError):
            found = await self._identity(scope, access, headers)
            if isinstance(found, _Identity):
                _note(scope, found)

    async def _login_refusal(
        self, scope: Scope, access: Access, headers: Headers
    ) -> Response | None:
        found = await self._identity(scope, access, headers)
        if isinstance(found, Response):
            return found
        _note(scope, found)
        if not found.may_use(access):
            return await answer_forbidden(Request(scope), _needs(access))
        return None

    async def _identity(
        self, scope: Scope, access: Access, headers: Headers
    ) -> _Identity | Response:
        """Return who makes the request, or the response that asks for a login."""
        if "authorization" in headers:
            if not _takes_programs(access):
                return _unauthorized("This address takes no token: log in with a browser.")
            if bearer_value(headers) is not None:
                return await self._bearer(scope, access.scope)
            return await self._script_identity(headers)
        session = await self._session(scope, headers, access)
        if session is None:
            return _login_needed(scope, headers)
        actor = f"{session.person.login} ({ACTOR_SUFFIX})"
        return _Identity(actor=actor, session=session)

    async def _bearer(self, scope: Scope, required: Allowed | None) -> _Identity | Response:
        found = await self._authorizer.authorize(scope, required)
        if isinstance(found, Response):
            return found
        return _Identity(actor=f"token {found.name}", token=found)

    async def _script_identity(self, headers: Headers) -> _Identity | Response:
        given = _credentials(headers)
        if self._script and hmac.compare_digest(_digest(given), _digest(self._script)):
            return _Identity(actor=f"{self._settings.username} (password)", is_script=True)
        await asyncio.sleep(_WRONG_PASSWORD_WAIT)
        return _unauthorized("The user name or the password is wrong.")

    async def _session(self, scope: Scope, headers: Headers, access: Access) -> Session | None:
        cookies = cookie_parser(headers.get("cookie", ""))
        token = cookies.get(transport_of(scope).cookie, "")
        return await self._sessions.find(token, touch=access.counts_as_use)


def _takes_programs(access: Access) -> bool:
    return access.scope is not None or access is _NO_ROUTE


def _note(scope: Scope, found: _Identity) -> None:
    state: dict[str, Any] = scope.setdefault("state", {})
    state.update(
        actor=found.actor, session=found.session, token=found.token, is_script=found.is_script
    )
    SHOWN_PERSON.set(found.session.person if found.session else None)


def _needs(access: Access) -> str:
    roles = " or ".join(sorted(access.roles))
    return f"This needs the role {roles}. An administrator gives roles on the page Access."


def wants_json(scope: Scope, headers: Headers) -> bool:
    """Return whether a program, or a script of a page, makes the request."""
    program = scope["path"].startswith(("/api/", "/live", "/metrics"))
    return program or headers.get("accept", "").startswith("application/json")


def _login_needed(scope: Scope, headers: Headers) -> Response:
    """Return 401 for programs; for a browser a redirect to the login page, which leads back."""
    if wants_json(scope, headers):
        return _unauthorized("Log in first.")
    path = scope["path"]
    back = path if scope["method"] in {"GET", "HEAD"} else "/"
    query = scope.get("query_string", b"").decode("latin-1")
    back = f"{back}?{query}" if query and back == path else back
    asked = f"?next={quote(back, safe='/')}" if back != "/" else ""
    return RedirectResponse(f"{root_of(path)}login{asked}", status_code=303)


def _unauthorized(message: str) -> Response:
    return JSONResponse(
        {"error": message}, status_code=401, headers={"WWW-Authenticate": 'Bearer realm="Wetread"'}
    )


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def _credentials(headers: Headers) -> bytes:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
