"""What Orthanc's REST API and STOW-RS have in common: status codes, passwords, invalid answers."""

from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationUnavailable,
    ObjectsRefused,
)
from tests.dicom.destinations.http_server import http_server
from tests.dicom.destinations.sending import rest_destination, sending, stow_destination, verifying


@pytest.fixture(scope="session")
def guarded_orthanc(tmp_path_factory, orthanc_server_class):
    """An Orthanc that requires a password."""
    server = orthanc_server_class(tmp_path_factory.mktemp("guarded"), users={"wetread": "right"})
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("make", [rest_destination, stow_destination], ids=["rest", "stow"])
def test_the_right_bytes_are_in_orthanc(orthanc, objects, make):
    """Orthanc's own copy is the file, byte for byte."""
    make(orthanc).send(objects)
    for item in objects:
        (found,) = httpx.post(f"{orthanc.url}/tools/lookup", content=item.sop_instance_uid).json()
        copy = httpx.get(f"{orthanc.url}/instances/{found['ID']}/file").content
        assert dcmread(item.path) == dcmread(_written(item.path.parent / "copy", copy))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("make", [rest_destination, stow_destination], ids=["rest", "stow"])
def test_a_password_decides(guarded_orthanc, objects, make):
    """The wrong password is refused with advice; the right one is accepted."""
    wrong = make(guarded_orthanc, username="wetread", password="wrong")  # noqa: S106 - a test's
    for call in (wrong.probe, sending(wrong, objects)):
        with pytest.raises(DestinationRejected, match="password") as refusal:
            call()
        assert "wrong" not in str(refusal.value)
    right = make(guarded_orthanc, username="wetread", password="right")  # noqa: S106 - a test's
    right.probe()
    right.send(objects)
    right.verify(objects)


def test_an_address_that_is_no_orthanc_is_reported(orthanc, objects):
    """A path without an archive is tried again; the message names both causes: wrong or not started."""
    destination = OrthancDestination(name="pacs", url=f"{orthanc.url}/nothing", timeout=5)
    for call in (destination.probe, sending(destination, objects)):
        with pytest.raises(DestinationUnavailable, match="check that it has started, and its url"):
            call()
    with pytest.raises(DestinationUnavailable, match="check that it has started, and its url"):
        StowDestination(name="archive", url=f"{orthanc.url}/nothing", timeout=5).probe()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DestinationRejected),
        (404, DestinationUnavailable),
        (408, DestinationUnavailable),
        (413, DestinationRejected),
        (429, DestinationUnavailable),
        (500, DestinationUnavailable),
        (502, DestinationUnavailable),
        (503, DestinationUnavailable),
        (507, DestinationUnavailable),
    ],
)
@pytest.mark.parametrize("kind", [OrthancDestination, StowDestination])
def test_an_http_status_decides_whether_it_may_pass(objects, kind, status, error):
    """Each status of a failing server becomes the error that states whether to send again."""
    body = b'{"Message": "Doe^John"}'
    with (
        http_server(lambda *_: (status, "application/json", body)) as url,
        pytest.raises(error, match=str(status)) as caught,
    ):
        kind(name="pacs", url=url, timeout=5).send(objects)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("kind", [OrthancDestination, StowDestination])
def test_a_body_limit_is_reported_as_such(objects, kind):
    """HTTP 413 names the limit of the body size, not the URL."""
    with (
        http_server(lambda *_: (413, "text/html", b"<html>")) as url,
        pytest.raises(ObjectsRefused, match="body size limit") as caught,
    ):
        kind(name="pacs", url=url, timeout=5).send(objects)
    assert "check its url" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"null", b"1", b'"x"', b"[1]", b"{}", b"[" * 100_000, b"1" * 10_000, b"\xff\xfe"]
)
def test_whatever_is_answered_is_an_error_of_the_destination(objects, body):
    """No answer causes an unexpected error, and with a temporary status no answer ends a delivery."""
    for status, errors in ((200, DestinationError), (503, DestinationUnavailable)):
        with http_server(lambda *_, status=status: (status, "application/json", body)) as url:
            orthanc = OrthancDestination(name="pacs", url=url, timeout=5)
            archive = StowDestination(name="archive", url=url, timeout=5)
            calls = [orthanc.probe, sending(orthanc, objects), verifying(orthanc, objects)]
            for call in (*calls, verifying(archive, objects)):
                with pytest.raises(errors):
                    call()
