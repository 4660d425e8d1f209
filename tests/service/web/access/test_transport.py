"""The transport of a request, and the session cookie for it."""

from types import SimpleNamespace

import pytest
from starlette.responses import Response

from service.web.access.transport import (
    PLAIN_COOKIE,
    SECURE_COOKIE,
    names_loopback,
    remove_cookies,
    set_cookie,
    transport_of,
)


def scope(host, client="10.0.0.7", scheme="http"):
    """Return the scope of a request."""
    return {
        "type": "http",
        "scheme": scheme,
        "client": (client, 5000),
        "headers": [(b"host", host.encode())],
    }


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8080", True),
        ("127.0.0.1", True),
        ("127.9.9.9:1", True),
        ("[::1]:8080", True),
        ("reads", False),
        ("10.0.0.1", False),
        ("localhost.evil", False),
        ("[broken", False),
        ("", False),
    ],
)
def test_loopback_names(host, expected):
    """A name that only begins like one does not count."""
    assert names_loopback(host) is expected


@pytest.mark.parametrize(
    ("given", "local", "cookie", "allowed"),
    [
        (scope("localhost", "127.0.0.1"), True, SECURE_COOKIE, True),
        (scope("localhost", "::1"), True, SECURE_COOKIE, True),
        (scope("localhost", "10.0.0.7"), False, SECURE_COOKIE, False),
        (scope("reads", "127.0.0.1"), False, PLAIN_COOKIE, False),
        (scope("reads", "10.0.0.7", "https"), False, SECURE_COOKIE, True),
    ],
)
def test_patient_data_goes_over_tls_or_stays_here(given, local, cookie, allowed):
    """Unless the site allows plain HTTP."""
    transport = transport_of(given)
    assert (transport.is_local, transport.cookie) == (local, cookie)
    assert transport.is_allowed(SimpleNamespace(plain_http=False)) is allowed
    assert transport.is_allowed(SimpleNamespace(plain_http=True))


def test_cookies_are_set_and_removed():
    """A `__Host-` cookie is Secure, with path / and without a domain."""
    response = Response()
    set_cookie(response, transport_of(scope("reads", scheme="https")), "token")
    header = response.headers["set-cookie"]
    assert header.startswith("__Host-wetread=token;")
    for part in ("HttpOnly", "Path=/", "SameSite=lax", "Secure"):
        assert part in header
    assert "Domain" not in header
    response = Response()
    remove_cookies(response)
    assert len(response.headers.getlist("set-cookie")) == 2
