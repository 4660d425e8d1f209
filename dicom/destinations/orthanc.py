"""An Orthanc as a Destination, by its REST API."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import quote

import requests
from pydicom.uid import UID

from dicom.destinations.destination import EncodedObject, Refusals, held_by
from dicom.destinations.http import OF_AN_OBJECT, HttpDestination, HttpRoute
from dicom.destinations.orthanc_client import StatusError, orthanc_client
from dicom.errors import DestinationError, DestinationRejected, DestinationUnavailable

_STORED: Final = ("Success", "AlreadyStored")
_LONGEST_ANSWER: Final = 2**20  # bytes; some hundred are expected
_LONGEST_LIST: Final = 2**24  # bytes; a list of some hundred resources is expected


class _ObjectRefused(Exception):
    """Orthanc did not take one object; `error` says why."""

    def __init__(self, error: DestinationError) -> None:
        super().__init__(str(error))
        self.error = error


class OrthancDestination(HttpDestination):
    """An Orthanc; every object is read back completely and compared.

    Orthanc answers `AlreadyStored` with status 200 also if it holds another object under the same UID,
    and keeps that one: so success is never accepted without reading back.
    """

    # 409: another client is storing the same instance at this moment.
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
        route: HttpRoute | None = None,
    ) -> None:
        super().__init__(name=name, kind="Orthanc", url=url, timeout=timeout)
        self._client = orthanc_client(
            url=url,
            user=username,
            password=password,
            timeout=timeout,
            pool=max_connections,
            route=route or HttpRoute(),
        )

    def send(self, objects: Sequence[EncodedObject]) -> None:
        """Upload each object; compare those that Orthanc already holds."""
        refusals = Refusals()
        for item in objects:
            content = item.read()
            try:
                self._upload(item, content)
            except _ObjectRefused as refusal:
                refusals.add(item, refusal.error)
        refusals.raise_any()

    def _upload(self, item: EncodedObject, content: bytes) -> None:
        try:
            answer = self._json("POST", "instances", content)
        except DestinationError as error:
            status = getattr(error.__cause__, "http_status_code", None)
            if status in OF_AN_OBJECT:
                raise _ObjectRefused(error) from error
            raise
        status = answer.get("Status") if isinstance(answer, dict) else None
        if status not in _STORED:
            raise _ObjectRefused(
                DestinationRejected(
                    f"{self._where} did not store {item.path.name}: {status!a:.40}; see its filters"
                )
            )
        if status == "AlreadyStored":
            try:
                self._compare(item)
            except DestinationRejected as error:
                raise _ObjectRefused(error) from error

    def verify(self, objects: Sequence[EncodedObject]) -> None:
        """Read each object back and compare it."""
        for item in objects:
            self._compare(item)

    def held(self, objects: Sequence[EncodedObject]) -> frozenset[str]:
        """Return the SOP Instance UIDs of the objects of which Orthanc returns an equal copy."""
        return held_by(self._compare, objects)

    def probe(self) -> None:
        """Request the system's description with our credentials."""
        system = self._json("GET", "system")
        if not isinstance(system, dict) or "ApiVersion" not in system:
            raise self._no_orthanc()

    def probe_writing(self, contexts: Sequence[tuple[UID, UID]]) -> bool:
        """Upload an empty file; a user who may upload gets status 400 because it is not DICOM."""
        del contexts
        try:
            self._body("POST", "instances")
        except DestinationError as error:
            status = getattr(error.__cause__, "http_status_code", None)
            if status == HTTPStatus.BAD_REQUEST:
                return True
            raise self._no_writing(error, status) from error
        return False

    def remove(self, sop_instance_uids: Sequence[str]) -> int:
        """Delete these instances; Orthanc holds none of them when this returns.

        Returns:
            How many were deleted.

        Raises:
            DestinationUnavailable: It did not answer; delete all again later.
            DestinationRejected: It refuses.
        """
        removed = 0
        for uid in sop_instance_uids:
            for identifier in self._find(uid):
                self._body("DELETE", f"instances/{identifier}")
                removed += 1
        return removed

    def changes(self, since: int, limit: int) -> tuple[list[Mapping[str, object]], int]:
        """Return at most `limit` changes after number `since`, and the number of the last of them.

        Raises:
            DestinationUnavailable: It did not answer, or not as an Orthanc.
            DestinationRejected: It refuses.
        """
        return self._changes(f"changes?since={since}&limit={limit}")

    def last_change(self) -> int:
        """Return the number of the last change, 0 if there is none; errors as `changes`."""
        return self._changes("changes?last")[1]

    def _changes(self, endpoint: str) -> tuple[list[Mapping[str, object]], int]:
        answer = self._list_json("GET", endpoint)
        found = answer.get("Changes") if isinstance(answer, dict) else None
        last = answer.get("Last") if isinstance(answer, dict) else None
        if not isinstance(found, list) or not isinstance(last, int):
            raise self._no_orthanc()
        return [each for each in found if isinstance(each, dict)], last

    def describe(self, identifiers: Sequence[str]) -> list[Mapping[str, object]]:
        """Return Orthanc's descriptions of these resources; those that it does not hold are left out.

        Raises:
            DestinationUnavailable: It did not answer, or not as an Orthanc 1.9.4 or later.
            DestinationRejected: It refuses.
        """
        if not identifiers:
            return []
        query = json.dumps({"Resources": list(identifiers), "Metadata": True})
        found = self._list_json("POST", "tools/bulk-content", query)
        if not isinstance(found, list):
            raise self._no_orthanc()
        return [each for each in found if isinstance(each, dict)]

    def file(self, identifier: str) -> Iterator[bytes]:
        """Yield the file of an instance, by Orthanc's identifier, in pieces.

        Raises:
            DestinationUnavailable: It did not answer, does not hold it any more (404), or broke off.
            DestinationRejected: It refuses.
        """
        with self._mapped_errors():
            yield from self._client.pieces(f"instances/{quote(identifier, safe='')}/file")

    def _list_json(self, method: str, endpoint: str, data: str = "") -> object:
        return self._parsed(self._body(method, endpoint, data=data, limit=_LONGEST_LIST))

    def _compare(self, item: EncodedObject) -> None:
        copies = [
            self._body("GET", f"instances/{identifier}/file", limit=item.copy_limit)
            for identifier in self._find(item.sop_instance_uid)
        ]
        if not copies:
            raise self._missing(item)
        differences = [item.difference(copy) for copy in copies]
        if all(differences):
            raise self._other_bytes(item, str(differences[0]))

    def _find(self, sop_instance_uid: str) -> list[str]:
        """Return Orthanc's identifiers of an instance, one for each patient under which it is stored."""
        found = self._json("POST", "tools/lookup", sop_instance_uid)
        if not isinstance(found, list):
            raise self._no_orthanc()
        instances = [
            each for each in found if isinstance(each, dict) and each.get("Type") == "Instance"
        ]
        return [quote(str(each.get("ID", "")), safe="") for each in instances]

    def _json(self, method: str, endpoint: str, data: bytes | str = b"") -> object:
        return self._parsed(self._body(method, endpoint, data=data))

    def _parsed(self, content: bytes) -> object:
        try:
            return cast("object", json.loads(content))
        except (ValueError, RecursionError) as error:
            raise self._no_orthanc() from error

    def _body(
        self, method: str, endpoint: str, *, data: bytes | str = b"", limit: int = _LONGEST_ANSWER
    ) -> bytes:
        size = max(len(data), limit if limit != _LONGEST_ANSWER else 0)
        with self._limited(size), self._mapped_errors():
            return self._client.body(method, endpoint, data=data, limit=limit)

    def _no_orthanc(self) -> DestinationUnavailable:
        # May pass: a proxy or an application server also answers so before its Orthanc has started.
        return DestinationUnavailable(
            f"{self._where} answers, but not like Orthanc; check that it has started, and its url"
        )

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self._status_error(error.http_status_code) from error
        except requests.Timeout as error:
            raise self._silent() from error
        except requests.RequestException as error:
            raise self._unreachable(error) from error
