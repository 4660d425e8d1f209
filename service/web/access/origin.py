"""Whether another web site made a browser send a request (cross-site request forgery)."""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def same_origin(request: HTTPConnection) -> bool:
    """Return False if a header of the request shows that another site made it."""
    return is_same_origin(request.headers)


def is_same_origin(headers: Headers) -> bool:
    """Return False if a header shows that another site made the request.

    The browser sets Sec-Fetch-Site (Fetch Metadata 2.4) on TLS and on loopback; it is checked first,
    because behind a proxy the Host header can differ from the host that the browser sees. Elsewhere
    the host of `Origin` must be that of `Host`. `Origin: null` is what a foreign form sends. Programs
    send neither header; they cannot be made to act by another site.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
