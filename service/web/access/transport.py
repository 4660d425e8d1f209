"""How a request came: over TLS, from this machine, or in the clear; and the session cookie for each.

A `__Host-` cookie is bound to this host and sent over TLS only. Chromium also keeps it on plain HTTP
from `localhost` and loopback addresses, and drops it silently on plain HTTP under any other name: the
login would start again forever. There the plain cookie is used, if `web.plain_http` allows it.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope as Connection

from service.settings.keys.sections import Web

SECURE_COOKIE: Final = "__Host-wetread"
PLAIN_COOKIE: Final = "wetread"
IN_THE_CLEAR: Final = (
    "This page shows patient data and was requested without TLS from another machine, or under "
    "another name than localhost. Open it by https. For the administrator: set web.tls_certificate and "
    "web.tls_key, or name the proxy that has TLS in web.trusted_proxies, or allow plain HTTP by "
    "web.plain_http."
)


@dataclass(frozen=True, slots=True)
class Transport:
    """What is known of the way of a request.

    Attributes:
        is_tls: Whether the browser uses TLS, by this server or by a trusted proxy.
        is_local: Whether the request came from this machine under a loopback name.
        name_is_loopback: Whether the browser calls this host by a loopback name.
    """

    is_tls: bool
    is_local: bool
    name_is_loopback: bool

    @property
    def cookie(self) -> str:
        """The name of the session cookie that a browser keeps."""
        return SECURE_COOKIE if self.is_tls or self.name_is_loopback else PLAIN_COOKIE

    def is_allowed(self, settings: Web) -> bool:
        """Return whether patient data may be sent."""
        return self.is_tls or self.is_local or settings.plain_http


def transport_of(connection: Connection) -> Transport:
    """Return how a request came."""
    named = names_loopback(Headers(scope=connection).get("host", ""))
    return Transport(
        is_tls=connection.get("scheme") == "https",
        is_local=named and names_loopback(_bracketed(client_address(connection))),
        name_is_loopback=named,
    )


def client_address(connection: Connection) -> str:
    """Return the address of the client: of the browser, where a trusted proxy says it."""
    client: tuple[str, int] | None = connection.get("client")
    return client[0] if client else ""


def set_cookie(response: Response, transport: Transport, token: str) -> None:
    """Add the session cookie to a response; it ends with the browser."""
    secure = transport.cookie == SECURE_COOKIE
    response.set_cookie(
        transport.cookie, token, path="/", secure=secure, httponly=True, samesite="lax"
    )


def remove_cookies(response: Response) -> None:
    """Remove the session from the browser."""
    for name, secure in ((SECURE_COOKIE, True), (PLAIN_COOKIE, False)):
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def names_loopback(host: str) -> bool:
    """Return whether a Host header names this machine's loopback interface."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
