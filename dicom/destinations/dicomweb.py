"""A DICOMweb archive as a Destination: STOW-RS, read back by WADO-RS (PS3.18 10.4, 10.5)."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import httpx
import structlog
from pydicom.uid import UID

from dicom.destinations.destination import EncodedObject, Refusals, held_by
from dicom.destinations.http import OF_AN_OBJECT, PLAIN, HttpDestination, HttpRoute, bounded
from dicom.dicomweb.multipart import InvalidMultipart, first_part_pieces, media_type
from dicom.dicomweb.store_response import JSON
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationUnavailable,
    ObjectsRefused,
    is_transient,
)
from dicom.network.httpx_transport import LimitedTransport

_log = structlog.stdlib.get_logger(__name__)

_MULTIPART: Final = 'multipart/related; type="application/dicom"'
_FAILED_SOP_SEQUENCE: Final = "00081198"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"
_FAILURE_REASON: Final = "00081197"
_WARNING_REASON: Final = "00081196"
_SOP_INSTANCE_UID: Final = "00080018"
_LONGEST_ANSWER: Final = 2**22  # bytes; some kilobytes are expected
_LONGEST_SEARCH_ANSWER: Final = 2**25  # bytes; an archive may ignore the limit of a search
# Answers to a store request without a part that show that the archive would store one.
_EMPTY: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
# Answers of an archive that stores instances but does not let them be retrieved.
_NO_RETRIEVE: Final = (403, 405, 406, 501)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An untrusted answer of an archive."""

    status: int
    body: bytes

    def json(self) -> object:
        """Return the body parsed as JSON, or None if it is not JSON."""
        try:
            return cast("object", json.loads(self.body))
        except (ValueError, RecursionError):
            return None


class _RequestRefused(Exception):
    """The archive refused a request as a whole; `error` says why."""

    def __init__(self, error: DestinationError) -> None:
        super().__init__(str(error))
        self.error = error


class StowDestination(HttpDestination):
    """A DICOMweb archive.

    Each instance is retrieved and compared. If the archive does not allow that, it is searched for
    instead (QIDO-RS).
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        username: str = "",
        password: str = "",
        token: str = "",
        timeout: float = 30.0,
        max_connections: int = 4,
        route: HttpRoute | None = None,
    ) -> None:
        super().__init__(name=name, kind="DICOMweb", url=url, timeout=timeout)
        route = route or HttpRoute()
        self._client = httpx.Client(
            base_url=url,
            auth=httpx.BasicAuth(username, password) if username and not token else None,
            headers={**PLAIN, **({"Authorization": f"Bearer {token}"} if token else {})},
            timeout=timeout,
            trust_env=False,  # ignore proxies and certificate authorities of the environment
            transport=LimitedTransport(
                limits=httpx.Limits(max_connections=max_connections),
                verify=route.context(),
                proxy=route.proxy,
                trust_env=False,
            ),
        )

    def send(self, objects: Sequence[EncodedObject]) -> None:
        """Store all objects by one request and evaluate its Store Instances Response.

        If the archive refuses the request as a whole, each object is sent by a request of its own.
        """
        try:
            self._send_together(objects)
        except _RequestRefused as refusal:
            if len(objects) == 1:
                self._refuse({objects[0].sop_instance_uid: refusal.error}, objects)
            else:
                self._send_each(objects)

    def _send_each(self, objects: Sequence[EncodedObject]) -> None:
        refusals = Refusals()
        for item in objects:
            try:
                self.send([item])
            except ObjectsRefused as error:
                refusals.add(item, DestinationRejected(str(error)))
        refusals.raise_any()

    def _send_together(self, objects: Sequence[EncodedObject]) -> None:
        boundary = uuid.uuid4().hex
        headers = {"Content-Type": f"{_MULTIPART}; boundary={boundary}", "Accept": JSON}
        body = _multipart([item.read() for item in objects], boundary)
        answer = self._exchange("POST", "studies", content=body, headers=headers)
        failures, warnings = _store_response(answer)
        # 409 is the answer if each instance failed; its body lists the reasons (PS3.18 10.5.3).
        if answer.status == HTTPStatus.CONFLICT and not failures:
            raise _RequestRefused(
                DestinationRejected(
                    f"{self._where} refused all objects (HTTP status 409) without a reason: see its log"
                )
            )
        if answer.status in OF_AN_OBJECT - {HTTPStatus.CONFLICT}:
            raise _RequestRefused(self._status_error(answer.status))
        if answer.status != HTTPStatus.CONFLICT:
            self._check_status(answer.status)
        if warnings:
            _log.warning("stored_with_warning", destination=self.name, reasons=warnings)
        if failures:
            self._judge(failures, objects)

    def _judge(self, failures: Mapping[str, int], objects: Sequence[EncodedObject]) -> None:
        """Raise an error unless the archive holds each object for which it reported a failure."""
        sent = [item.sop_instance_uid for item in objects]
        named = {uid: code for uid, code in failures.items() if uid in sent}
        if len(named) == len(failures):
            self._refuse({uid: self._failure(uid, code) for uid, code in named.items()}, objects)
        else:
            # A failure with an unknown UID may concern any object. The UID is text of any length, so
            # no message repeats it.
            code = next(code for uid, code in failures.items() if uid not in named)
            self._refuse(dict.fromkeys(sent, self._failure("an object", code)), objects)

    def _refuse(
        self, errors: Mapping[str, DestinationError], objects: Sequence[EncodedObject]
    ) -> None:
        refusals = Refusals()
        failed = [item for item in objects if item.sop_instance_uid in errors]
        for item in failed:
            refusals.add(item, errors[item.sop_instance_uid])
        # An archive may refuse an object that it already holds.
        try:
            refusals.drop(self.held(failed))
        except DestinationError as error:
            _log.info("lookup_failed", destination=self.name, reason=str(error))
        refusals.raise_any()

    def _failure(self, name: str, reason: int) -> DestinationError:
        sentence = f"{self._where} did not store {name}: failure reason 0x{reason:04X}"
        if is_transient(reason):  # the codes are those of C-STORE
            return DestinationUnavailable(sentence)
        return DestinationRejected(f"{sentence}; see its log for why it refuses the object")

    def held(self, objects: Sequence[EncodedObject]) -> frozenset[str]:
        """Return the SOP Instance UIDs of the objects that can be retrieved, or else are listed."""
        return held_by(self._verify_one, objects)

    def verify(self, objects: Sequence[EncodedObject]) -> None:
        """Retrieve each object and compare it."""
        for item in objects:
            self._verify_one(item)

    def _verify_one(self, item: EncodedObject) -> None:
        copy = self._retrieve(item, item.copy_limit)
        difference = item.difference(copy) if copy is not None else None
        if copy is not None and difference is not None:
            raise self._wrong(item, copy, difference)

    def _wrong(self, item: EncodedObject, copy: bytes, difference: str) -> DestinationError:
        if copy[128:132] == b"DICM":
            return self._other_bytes(item, difference)
        # For example a proxy's page with status 200: it does not show what the archive holds.
        uid = item.sop_instance_uid
        return DestinationUnavailable(f"{self._where} returned no DICOM file for {uid}")

    def _retrieve(self, item: EncodedObject, limit: int) -> bytes | None:
        """Return the archive's copy, or None if it allows no retrieval but lists the instance."""
        address = (
            f"studies/{item.study_instance_uid}/series/{item.series_instance_uid}"
            f"/instances/{item.sop_instance_uid}"
        )
        headers = {"Accept": f"{_MULTIPART}; transfer-syntax=*"}
        with (
            self._limited(limit),
            self._mapped_errors(),
            self._client.stream("GET", address, headers=headers) as response,
        ):
            if response.status_code in _NO_RETRIEVE:
                self._search(item)
                return None
            if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                raise self._missing(item)
            self._check_status(response.status_code)
            content = bounded(response.iter_bytes(), limit)
        return _first_part(content, response.headers.get("Content-Type", ""))

    def _search(self, item: EncodedObject) -> None:
        address = f"studies/{item.study_instance_uid}/series/{item.series_instance_uid}/instances"
        params = {"SOPInstanceUID": item.sop_instance_uid}
        answer = self._exchange("GET", address, params=params, headers={"Accept": JSON})
        self._check_status(answer.status)
        # An archive may ignore the parameter and list the whole series.
        listed = [_value(each, _SOP_INSTANCE_UID) for each in _json_list(answer)]
        if item.sop_instance_uid not in listed:
            raise self._missing(item)

    def probe(self) -> None:
        """Search for at most one Study; an archive without a search service counts as reachable."""
        answer = self._exchange("GET", "studies", params={"limit": "1"}, headers={"Accept": JSON})
        if answer.status not in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
            self._check_status(answer.status)

    def probe_writing(self, contexts: Sequence[tuple[UID, UID]]) -> bool:
        """Send a store request without a part; a user who may store gets the answer that it is empty."""
        del contexts
        boundary = uuid.uuid4().hex
        headers = {"Content-Type": f"{_MULTIPART}; boundary={boundary}", "Accept": JSON}
        body = [f"--{boundary}--\r\n".encode()]
        status = self._exchange("POST", "studies", content=body, headers=headers).status
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES or status in _EMPTY:
            return True
        error = self._status_error(status)
        if isinstance(error, DestinationRejected) or status == HTTPStatus.NOT_FOUND:
            raise self._no_writing(error, status)
        return False

    def search(self, address: str, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return the results of a search (QIDO-RS, PS3.18 10.6) as DICOM JSON.

        Raises:
            DestinationUnavailable: The archive did not answer.
            DestinationRejected: It refuses, or its answer is not a list.
        """
        with (
            self._limited(_LONGEST_SEARCH_ANSWER),
            self._mapped_errors(),
            self._client.stream(
                "GET", address, params=dict(params), headers={"Accept": JSON}
            ) as response,
        ):
            answer = _Answer(
                response.status_code, bounded(response.iter_bytes(), _LONGEST_SEARCH_ANSWER)
            )
        if answer.status == HTTPStatus.NO_CONTENT:
            return []
        self._check_status(answer.status)
        if not isinstance(answer.json(), list):
            raise DestinationRejected(
                f"{self._where} answers a search with something other than a list: check its url"
            )
        return _json_list(answer)

    def file(self, address: str) -> Iterator[bytes]:
        """Retrieve an instance (WADO-RS, PS3.18 10.4) and yield its PS3.10 file in pieces.

        Raises:
            DestinationUnavailable: The archive did not answer, answered 404, or broke off.
            DestinationRejected: It refuses, or its answer is not a DICOM file.
        """
        headers = {"Accept": f"{_MULTIPART}; transfer-syntax=*"}
        with (
            self._mapped_errors(),
            self._client.stream("GET", address, headers=headers) as response,
        ):
            self._check_status(response.status_code)
            kind = response.headers.get("Content-Type", "")
            try:
                yield from first_part_pieces(kind, response.iter_bytes(2**18))
            except InvalidMultipart as error:
                raise DestinationRejected(
                    f"{self._where} returned no DICOM file: {error}"
                ) from error

    def _exchange(self, method: str, address: str, **request: Any) -> "_Answer":  # noqa: ANN401 - httpx's
        """Return the answer to a request; stop reading once its body exceeds `_LONGEST_ANSWER`."""
        size = len(request.get("content", b""))
        with (
            self._limited(size),
            self._mapped_errors(),
            self._client.stream(method, address, **request) as response,
        ):
            return _Answer(response.status_code, bounded(response.iter_bytes(), _LONGEST_ANSWER))

    def _check_status(self, status: int) -> None:
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._status_error(status)

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise self._silent() from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error


def _multipart(parts: Sequence[bytes], boundary: str) -> bytes:
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join([*(head + part + b"\r\n" for part in parts), f"--{boundary}--\r\n".encode()])


def _first_part(content: bytes, content_type: str) -> bytes:
    """Return the first part of a multipart body, or `content` itself if it is not multipart."""
    try:
        kind, parameters = media_type(content_type)
    except InvalidMultipart:
        return content
    if not kind.startswith("multipart/"):
        return content
    delimiter = b"--" + parameters.get("boundary", "").encode()
    _, _, rest = content.partition(delimiter)
    _, _, body = rest.partition(b"\r\n\r\n")
    end = body.rfind(b"\r\n" + delimiter)
    return body[:end] if end >= 0 else body


def _store_response(response: _Answer) -> tuple[dict[str, int], list[str]]:
    """Return (failure reason by SOP Instance UID, warning reasons) of a Store Instances Response.

    The response may also be XML or empty: then only reading back decides (PS3.18 10.5.3.2).
    """
    answer = response.json()
    if not isinstance(answer, dict):
        return {}, []
    failures = {
        str(_value(item, _REFERENCED_SOP_INSTANCE_UID)): _code(_value(item, _FAILURE_REASON))
        for item in _items(answer, _FAILED_SOP_SEQUENCE)
    }
    reasons = [_value(item, _WARNING_REASON) for item in _items(answer, _REFERENCED_SOP_SEQUENCE)]
    return failures, [f"0x{_code(reason):04X}" for reason in reasons if reason is not None]


def _items(answer: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _value(item: Mapping[str, Any], tag: str) -> object:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _code(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0


def _json_list(response: _Answer) -> list[Mapping[str, Any]]:
    answer = response.json()
    return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []
