"""STOW-RS destinations."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dicom.destinations.dicomweb import StowDestination
from dicom.errors import (
    DestinationRejected,
    DestinationUnavailable,
    ObjectsRefused,
)
from tests.dicom.destinations.http_server import failed_sop, http_server, refusing_first
from tests.dicom.destinations.sending import stow_destination


def test_other_bytes_under_the_same_uid_are_noticed_by_stow(orthanc, objects, other_bytes):
    """STOW-RS answers success for an object that is not kept; reading back detects it."""
    destination = stow_destination(orthanc)
    destination.send(objects)
    destination.send(other_bytes)
    with pytest.raises(DestinationRejected, match=r"other bytes.*TextValue"):
        destination.verify(other_bytes)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_a_request_that_an_archive_refuses_whole_is_split(objects, status):
    """Each object gets a request of its own: all arrive although one request would be too large."""
    answer, uploads = refusing_first(status)
    with http_server(answer) as url:
        StowDestination(name="archive", url=url, timeout=5).send(objects)
    assert len(uploads) == 1 + len(objects)


def test_a_sop_class_that_a_stow_archive_refuses_is_named(objects):
    """One of two in FailedSOPSequence: the error has its UID, the other one counts as sent."""
    body = failed_sop(objects[0].sop_instance_uid, 0x0122)
    with (
        http_server(lambda *_: (202, "application/dicom+json", body)) as url,
        pytest.raises(ObjectsRefused, match="0x0122") as caught,
    ):
        StowDestination(name="archive", url=url, timeout=5).send(objects)
    assert caught.value.uids == {objects[0].sop_instance_uid}


@pytest.mark.parametrize("status", [200, 202, 409])
@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (0x0110, DestinationUnavailable),
        (0xA700, DestinationUnavailable),
        (0xA900, DestinationRejected),
        (0xC000, DestinationRejected),
        (0x0122, DestinationRejected),
    ],
)
def test_a_failed_sop_decides_by_its_reason(objects, status, reason, error):
    """FailedSOPSequence is read whatever the HTTP status is, and its reason is reported."""
    body = failed_sop(objects[0].sop_instance_uid, reason)
    with (
        http_server(lambda *_: (status, "application/dicom+json", body)) as url,
        pytest.raises(error, match=f"0x{reason:04X}"),
    ):
        StowDestination(name="archive", url=url, timeout=5).send(objects)


@pytest.mark.parametrize("reason", [0xB00E, 0x0111, 0xC000])
def test_an_archive_that_takes_nothing_twice_has_it(objects, reason):
    """HTTP 409 for objects of an interrupted send: an identical stored object counts as delivered."""
    asked = []

    def answer(method, path):
        asked.append(method)
        if method == "POST":
            failed = failed_sop(objects[0].sop_instance_uid, reason)
            return 409, "application/dicom+json", failed
        item = next(each for each in objects if path.endswith(each.sop_instance_uid))
        return 200, "application/dicom", item.path.read_bytes()

    with http_server(answer) as url:
        StowDestination(name="archive", url=url, timeout=5).send(objects)
    assert asked[0] == "POST"
    assert "GET" in asked  # no answer counts before reading back


def test_what_an_archive_calls_an_object_is_not_repeated(objects):
    """Its answer may hold any text, of any length: none of it is reported."""
    with (
        http_server(
            lambda *_: (200, "application/json", failed_sop("Doe^John\0" * 9999, 0xA900))
        ) as url,
        pytest.raises(DestinationRejected, match="did not store an object") as caught,
    ):
        StowDestination(name="archive", url=url, timeout=5).send(objects)
    assert "Doe" not in str(caught.value)


def test_a_page_instead_of_a_copy_may_pass(objects):
    """A proxy's page with status 200 is no statement about the archive."""
    with (
        http_server(lambda *_: (200, "text/html", b"<html>down for a minute</html>")) as url,
        pytest.raises(DestinationUnavailable, match="no DICOM file"),
    ):
        StowDestination(name="archive", url=url, timeout=5).verify(objects)


def test_a_conflict_without_a_reason_is_a_rejection(objects):
    """HTTP 409 with an unreadable body does not count as success."""
    with (
        http_server(lambda *_: (409, "text/plain", b"no")) as url,
        pytest.raises(DestinationRejected, match="409"),
    ):
        StowDestination(name="archive", url=url, timeout=5).send(objects)


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        (lambda uid: [{"00080018": {"vr": "UI", "Value": [uid]}}], None),
        (lambda _: [], DestinationUnavailable),
        (lambda _: [{}], DestinationUnavailable),
        (lambda _: [{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}], DestinationUnavailable),
    ],
)
def test_an_archive_that_gives_nothing_back_is_searched(objects, listed, error):
    """Where retrieval is not allowed, the search decides whether this object is stored."""

    def answer(_method, path):
        if "instances?" in path:
            found = listed(path.partition("SOPInstanceUID=")[2])
            return 200, "application/dicom+json", json.dumps(found).encode()
        return 405, "text/plain", b""

    with http_server(answer) as url:
        destination = StowDestination(name="archive", url=url, timeout=5)
        with pytest.raises(error) if error else contextlib.nullcontext():
            destination.verify(objects)


def test_a_token_is_sent_instead_of_a_password():
    """The bearer token is in the request, and a server that refuses it is reported without it."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers["Authorization"])
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    destination = StowDestination(name="archive", url=url, token="s3cret", timeout=5)  # noqa: S106 - a test's
    with pytest.raises(DestinationRejected, match="token") as refusal:
        destination.probe()
    server.shutdown()
    server.server_close()
    assert seen == ["Bearer s3cret"]
    assert "s3cret" not in str(refusal.value)
