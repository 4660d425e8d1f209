"""Access control: password, bearer tokens, same-origin check, form tokens, security headers."""

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
from service.web.access.bearer import TokenAuthorizer, bearer_value

ACTOR_SUFFIX: Final = "web page"
# Open, because probes send no password; the answers name no patient, study or address.
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
# Paths that accept a bearer token, for programs; the pages need the password.
TOKEN_PATHS: Final = ("/api/", "/metrics")
# Seconds before a wrong password is answered: slows down guessing.
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
    """Tokens in the forms of our own pages: another site can make a browser post, but not read them."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, job_id: str) -> str:
        """Return the token for the forms of one job (or one `FORM`), valid until this process ends."""
        return hmac.new(self._key, job_id.encode(), hashlib.sha256).hexdigest()

    def valid(self, job_id: str, token: str) -> bool:
        """Return whether `token` was issued for this job; compare in constant time."""
        return hmac.compare_digest(self.issue(job_id).encode(), token.encode())


def same_origin(request: Request) -> bool:
    """Return False if a header shows that another site made this request.

    The browser sets Sec-Fetch-Site (Fetch Metadata 2.4), which is checked first: behind a proxy the
    Host header can differ from the host that the browser sees. `Origin: null` is accepted: our own
    forms send it, because of the no-referrer policy. Other sites are kept out by the form's token, and
    by the CORS preflight that application/json needs.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin", "null")
    return origin == "null" or urlsplit(origin).netloc == request.headers.get("host")


class Guard:
    """ASGI middleware that requires the password or a bearer token, and sets the security headers.

    Without a password only requests to a loopback host name are accepted. Basic authentication needs
    no session that could be stolen, and scripts can use it. On a network the page needs TLS in front of
    it (docs/api.md). Programs may send a bearer token instead.
    """

    def __init__(self, app: ASGIApp, settings: Web, authorizer: TokenAuthorizer) -> None:
        """Wrap `app`; `authorizer` checks the tokens."""
        self._app = app
        self._authorizer = authorizer
        self._password = settings.password.get_secret_value()
        self._expected = _digest(f"{settings.username}:{self._password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403, 421 or 503, or pass the request on."""
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
        """Return the refusal of a bearer token; if it is accepted, set `state.actor` and return None."""
        wanted = Allowed.READ if scope["method"] in {"GET", "HEAD"} else Allowed.ADMIN
        found = await self._authorizer.authorize(scope, wanted)
        if isinstance(found, Response):
            return found
        scope.setdefault("state", {})["actor"] = f"token {found.name}"
        return None


_UNAUTHORIZED: Final = PlainTextResponse(
    "Authentication required.\n",
    status_code=401,
    headers={"WWW-Authenticate": 'Basic realm="Wetread", charset="UTF-8"'},
)
# Without a password only the loopback interface protects the page. A web site can make its own name
# resolve to loopback (DNS rebinding), so other host names are refused.
_MISDIRECTED: Final = PlainTextResponse(
    "This page is served under the name localhost only. Set web.password to use another name.\n",
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
