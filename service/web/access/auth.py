"""Who may see and do what: password, tokens, same origin, and headers that hold scripts off."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings.sections import Web
from service.tokens import Scope as Allowed
from service.web.access.bearer import Bearers, bearer_value

ACTOR_SUFFIX: Final = "web page"
# Probes carry no password; what they tell names no patient, no study and no address.
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
# What programs use; the pages are for people, who have a password.
TOKEN_PATHS: Final = ("/api/", "/metrics")
_WRONG_PASSWORD_WAIT: Final = 0.5

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class FormTokens:
    """Tokens that only our own pages hold: another site can make a browser post, but not read one."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, job_id: str) -> str:
        """Return the token for the forms of one job; good until this process ends."""
        return hmac.new(self._key, job_id.encode(), hashlib.sha256).hexdigest()

    def valid(self, job_id: str, token: str) -> bool:
        """Return whether `token` was issued for this job, in constant time."""
        return hmac.compare_digest(self.issue(job_id).encode(), token.encode())


def same_origin(request: Request) -> bool:
    """Return whether no header says that another site made this request.

    The browser's own judgment (Sec-Fetch-Site, Fetch Metadata 2.4) counts first: behind a proxy the
    Host that arrives here may be another than the one that the browser knows. `Origin: null` decides
    nothing: our own forms send it, because of no-referrer. Foreign pages are kept out by the form's
    token, and by the preflight that application/json needs.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin", "null")
    return origin == "null" or urlsplit(origin).netloc == request.headers.get("host")


class Guard:
    """ASGI middleware: password or token, without a password only loopback names; headers on answers.

    Basic authentication: no session to steal or to store, and scripts use the same door. Whoever puts
    the page on a network puts TLS in front of it (docs/api.md). Programs may bring a bearer token.
    """

    def __init__(self, app: ASGIApp, settings: Web, bearers: Bearers) -> None:
        """Wrap `app`; `bearers` knows the tokens."""
        self._app = app
        self._bearers = bearers
        self._password = settings.password.get_secret_value()
        self._expected = _digest(f"{settings.username}:{self._password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 421, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        await (refusal or self._app)(scope, receive, _with_headers(send))

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN_PATHS:
            return None
        if bearer_value(headers) is not None and scope["path"].startswith(TOKEN_PATHS):
            return await self._token_refusal(scope)
        if not self._password:
            return None if _names_loopback(headers.get("host", "")) else _MISDIRECTED
        if hmac.compare_digest(_digest(_credentials(headers)), self._expected):
            return None
        if "authorization" in headers:
            await asyncio.sleep(_WRONG_PASSWORD_WAIT)
        return _UNAUTHORIZED

    async def _token_refusal(self, scope: Scope) -> Response | None:
        """Return why a bearer token does not open this, or None; then `state.actor` names it."""
        wanted = Allowed.READ if scope["method"] in {"GET", "HEAD"} else Allowed.ADMIN
        found = await self._bearers.judge(scope, wanted)
        if isinstance(found, Response):
            return found
        scope.setdefault("state", {})["actor"] = f"token {found.name}"
        return None


_UNAUTHORIZED: Final = PlainTextResponse(
    "User name and password, please.\n",
    status_code=401,
    headers={"WWW-Authenticate": 'Basic realm="Wetread", charset="UTF-8"'},
)
# Without a password the loopback interface is the only fence; a foreign name that resolves to it
# (DNS rebinding) must not open it to a web site.
_MISDIRECTED: Final = PlainTextResponse(
    "This page answers to localhost only. Set web.password to use it under another name.\n",
    status_code=421,
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


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sender
