"""An Orthanc as a Destination, by its REST API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import requests
from orthanc_api_client import exceptions as api
from orthanc_api_client.api_client import OrthancApiClient
from requests.adapters import HTTPAdapter

from dicom.errors import DestinationRejected
from dicom.http_destination import PLAIN, HttpDestination, bounded
from dicom.pacs import EncodedObject

_STORED: Final = ("Success", "AlreadyStored")


class _BoundedClient(OrthancApiClient):
    """The API client with a time limit on each exchange and no hidden repetitions.

    The library repeats up to three times what timed out, and lets some errors of the connection end
    as a missing answer. Here each is raised at once: the delivery worker repeats, and tells.
    """

    def __init__(self, *, url: str, user: str, password: str, timeout: float, pool: int) -> None:
        # The library joins addresses: without the slash it would drop the last part of the path.
        super().__init__(f"{url.rstrip('/')}/", user=user, pwd=password, headers=dict(PLAIN))
        adapter = HTTPAdapter(pool_maxsize=pool, max_retries=0)
        self._http_session.mount("http://", adapter)
        self._http_session.mount("https://", adapter)
        self._timeout = timeout

    def get(self, endpoint: str, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as in requests
        """Return the response to a GET, within the timeout."""
        response: requests.Response = super().get(endpoint, timeout=self._timeout, **kwargs)
        return response

    def post(self, endpoint: str, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as in requests
        """Return the response to a POST, within the timeout."""
        response: requests.Response = super().post(endpoint, timeout=self._timeout, **kwargs)
        return response

    def delete(self, endpoint: str, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as in requests
        """Return the response to a DELETE, within the timeout."""
        response: requests.Response = super().delete(endpoint, timeout=self._timeout, **kwargs)
        return response

    def _translate_exception(self, request_exception: Exception, url: str) -> NoReturn:
        del url
        raise request_exception


class OrthancDestination(HttpDestination):
    """An Orthanc; every object is read back whole and compared.

    Orthanc answers `AlreadyStored` with status 200 when it holds another object under the same UID,
    and keeps that one: so an answer of success is never believed without reading back.
    """

    # The same instance is being stored by somebody else at this moment.
    also_may_pass = frozenset({409})

    def __init__(
        self,
        *,
        name: str,
        url: str,
        username: str = "",
        password: str = "",
        timeout: float = 30.0,
        max_connections: int = 4,
    ) -> None:
        super().__init__(name=name, kind="Orthanc", url=url, timeout=timeout)
        self._client = _BoundedClient(
            url=url, user=username, password=password, timeout=timeout, pool=max_connections
        )

    def send(self, objects: Sequence[EncodedObject]) -> None:
        """Upload each object; one that was there before is compared."""
        for item in objects:
            content = item.read()
            with self._told():
                answer = self._client.post("instances", data=content).json()
            status = answer.get("Status") if isinstance(answer, dict) else None
            if status not in _STORED:
                raise DestinationRejected(
                    f"{self._where} did not store {item.path.name}: {status!a:.40}; see its filters"
                )
            if status == "AlreadyStored":
                self._compare(item)

    def verify(self, objects: Sequence[EncodedObject]) -> None:
        """Read each object back and compare it."""
        for item in objects:
            self._compare(item)

    def probe(self) -> None:
        """Ask for the system's description, with our password."""
        with self._told():
            system = self._client.get_system()
        if not isinstance(system, dict) or "ApiVersion" not in system:
            raise DestinationRejected(
                f"{self._where} answers, but not as an Orthanc: check its url"
            )

    def remove(self, sop_instance_uids: Sequence[str]) -> int:
        """Remove these instances, none of which it holds any more when this returns.

        Returns:
            How many it held.

        Raises:
            DestinationUnavailable: It did not answer; remove all again later.
            DestinationRejected: It refuses.
        """
        removed = 0
        for uid in sop_instance_uids:
            with self._told():
                for identifier in self._client.lookup(needle=uid, filter="Instance"):
                    self._client.delete(f"instances/{identifier}")
                    removed += 1
        return removed

    def _compare(self, item: EncodedObject) -> None:
        with self._told():
            candidates = self._client.lookup(needle=item.sop_instance_uid, filter="Instance")
            copies = [self._download(identifier, item.copy_limit) for identifier in candidates]
        if not copies:
            raise self._missing(item)
        differences = [item.difference(copy) for copy in copies]
        if all(differences):
            raise self._other_bytes(item, str(differences[0]))

    def _download(self, identifier: str, limit: int) -> bytes:
        """Return the stored file, cut off behind `limit` bytes: more cannot be our object."""
        with self._client.get(f"instances/{identifier}/file", stream=True) as response:
            return bounded(response.iter_content(2**20), limit)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except api.HttpError as error:
            raise self._status_error(error.http_status_code) from error
        except requests.JSONDecodeError as error:
            raise DestinationRejected(
                f"{self._where} answers, but not as an Orthanc: check its url"
            ) from error
        except requests.Timeout as error:
            raise self._silent() from error
        except requests.RequestException as error:
            raise self._unreachable(error) from error
