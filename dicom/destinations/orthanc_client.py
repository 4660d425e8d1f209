"""Requests to an Orthanc, each with a limit on its time and size and without hidden retries.

orthanc-api-client retries timeouts up to three times, returns no answer for some connection errors, and
reads the bodies of errors without a limit. Its internal hooks are overridden here so that each error is
raised at once. With an untested version of the library, `requests` is used without it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NoReturn
from urllib.parse import urljoin

import requests
from orthanc_api_client.api_client import OrthancApiClient
from requests.auth import HTTPBasicAuth

from dicom.destinations.http import PLAIN, HttpRoute, bounded
from dicom.library import Library
from dicom.network.requests_adapter import LimitedAdapter

LIBRARY: Final = Library(
    name="orthanc-api-client",
    tested=("0.25.3",),
    consequence="requests to Orthanc are sent by requests alone",
)


class StatusError(Exception):
    """Orthanc answered with an HTTP error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.http_status_code = status


class _RouteAdapter(LimitedAdapter):
    """Opens connections with our own TLS context, and never retries."""

    def __init__(self, route: HttpRoute, *, pool_maxsize: int) -> None:
        self._tls: dict[str, Any] = {"ssl_context": route.context()}
        if route.tls.sha256 is not None:
            self._tls["assert_fingerprint"] = route.tls.sha256
        super().__init__(pool_maxsize=pool_maxsize, max_retries=0)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: object, cert: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return host and TLS parameters: ours instead of those of the session (requests' hook)."""
        del verify, cert
        host, _ = super().build_connection_pool_key_attributes(request, verify=True)
        return host, self._tls if host.get("scheme") == "https" else {}

    def cert_verify(self, *_arguments: object, **_options: object) -> None:
        """Leave the connection's TLS parameters as they are: they come from our context."""


class OrthancClient:
    """Sends requests to an Orthanc and returns the body of the answer, whole or in pieces."""

    def __init__(self, timeout: float) -> None:
        """Take the timeout in seconds of connecting and of each read."""
        self._bounds: dict[str, Any] = {"timeout": timeout, "stream": True}

    def body(self, method: str, endpoint: str, *, limit: int, data: bytes | str = b"") -> bytes:
        """Return the body of the answer to a GET, POST or DELETE; stop once it exceeds `limit` bytes.

        Raises:
            StatusError: The answer has an error status.
            requests.RequestException: There is no answer.
        """
        options = {"data": data} if method == "POST" else {}
        with self._ask(method, endpoint, **options, **self._bounds) as response:
            return bounded(response.iter_content(2**16), limit)

    def pieces(self, endpoint: str) -> Iterator[bytes]:
        """Yield the body of the answer to a GET as it arrives; errors as `body`."""
        with self._ask("GET", endpoint, **self._bounds) as response:
            yield from response.iter_content(2**18)

    def _ask(self, method: str, endpoint: str, **options: Any) -> requests.Response:  # noqa: ANN401 - requests'
        raise NotImplementedError


class _Hooked(OrthancApiClient):
    """The library's client, changed to raise each error at once, by its status alone."""

    def __init__(self, url: str, prepare: Callable[[requests.Session], None]) -> None:
        super().__init__(url, headers=dict(PLAIN))
        prepare(self._http_session)

    def _raise_or_retry_on_errors(self, response: requests.Response, url: str) -> bool:
        del url
        _check(response)
        return False

    def _translate_exception(self, request_exception: Exception, url: str) -> NoReturn:
        del url
        raise request_exception


class _LibraryClient(OrthancClient):
    """Sends requests by orthanc-api-client."""

    def __init__(
        self, url: str, timeout: float, prepare: Callable[[requests.Session], None]
    ) -> None:
        super().__init__(timeout)
        client = _Hooked(url, prepare)
        self._calls = {"GET": client.get, "POST": client.post, "DELETE": client.delete}

    def _ask(self, method: str, endpoint: str, **options: Any) -> requests.Response:  # noqa: ANN401 - requests'
        response: requests.Response = self._calls[method](endpoint, **options)
        return response


class _PlainClient(OrthancClient):
    """Sends requests by `requests` alone."""

    def __init__(
        self, url: str, timeout: float, prepare: Callable[[requests.Session], None]
    ) -> None:
        super().__init__(timeout)
        self._url = url
        self._session = requests.Session()
        self._session.headers.update(PLAIN)
        prepare(self._session)

    def _ask(self, method: str, endpoint: str, **options: Any) -> requests.Response:  # noqa: ANN401 - requests'
        response = self._session.request(method, urljoin(self._url, endpoint), **options)
        _check(response)
        return response


def orthanc_client(
    *, url: str, user: str, password: str, timeout: float, pool: int, route: HttpRoute
) -> OrthancClient:
    """Return a client; `pool` is the number of connections that are kept open.

    Raises:
        OSError: A file of the route's TLS cannot be used.
    """
    # Both clients join URLs: without the slash the last part of the path would be dropped.
    base = f"{url.rstrip('/')}/"
    prepare = partial(_prepare, user=user, password=password, pool=pool, route=route)
    client = _LibraryClient if LIBRARY.is_tested else _PlainClient
    return client(base, timeout, prepare)


def _prepare(
    session: requests.Session, *, user: str, password: str, pool: int, route: HttpRoute
) -> None:
    if user:
        # As bytes: requests would encode text as Latin-1, which is not the UTF-8 of RFC 7617 and
        # cannot encode every password.
        session.auth = HTTPBasicAuth(user.encode(), password.encode())
    # Ignore proxies, credentials (.netrc) and certificate authorities of the environment.
    session.trust_env = False
    session.proxies = {"http": route.proxy, "https": route.proxy} if route.proxy else {}
    adapter = _RouteAdapter(route, pool_maxsize=pool)
    session.mount("http://", adapter)
    session.mount("https://", adapter)


def _check(response: requests.Response) -> None:
    if not response.ok:
        response.close()
        raise StatusError(response.status_code)
