"""The security headers of each response."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

_POLICY: Final = "Content-Security-Policy"
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    _POLICY: "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types wetread",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it, browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=()",
}
_ONLY_TLS: Final = "max-age=31536000"


def with_headers(scope: Scope, send: Send) -> Send:
    """Return `send` with the security headers added to the response of this request."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                # A response may have a policy of its own, for a file that is no page of ours.
                if name != _POLICY or name not in headers:
                    headers[name] = value
            if scope.get("scheme") == "https":
                headers["Strict-Transport-Security"] = _ONLY_TLS
            headers.setdefault("Cache-Control", "no-store")
            headers.add_vary_header("Cookie")
        await send(message)

    return sender
