"""Orthanc's REST API as a destination."""

import json

import pytest

from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DestinationRejected, DestinationUnavailable, ObjectsRefused
from tests.dicom.destinations.http_server import http_server, refusing_first
from tests.dicom.destinations.sending import rest_destination, sending, verifying


def test_other_bytes_under_the_same_uid_are_noticed_by_rest(orthanc, objects, other_bytes):
    """Orthanc keeps the old object and answers 200: the send is refused all the same."""
    destination = rest_destination(orthanc)
    destination.send(objects)
    with pytest.raises(DestinationRejected, match=r"other bytes.*TextValue"):
        destination.send(other_bytes)
    with pytest.raises(DestinationRejected, match=r"other bytes.*TextValue"):
        destination.verify(other_bytes)


def test_an_orthanc_that_forgets_is_asked_again(objects):
    """A server that answers Success and stores nothing is unavailable: the objects are sent again."""

    def answer(_method, path):
        body = b"[]" if path == "/tools/lookup" else b'{"ID": "x", "Status": "Success"}'
        return 200, "application/json", body

    with http_server(answer) as url:
        destination = OrthancDestination(name="pacs", url=url, timeout=5)
        destination.send(objects)
        with pytest.raises(DestinationUnavailable, match="acknowledged"):
            destination.verify(objects)


def test_an_orthanc_that_filters_is_reported(objects):
    """An object that a filter of Orthanc dropped is not counted as stored."""
    with (
        http_server(lambda *_: (200, "application/json", b'{"Status": "FilteredOut"}')) as url,
        pytest.raises(DestinationRejected, match="FilteredOut"),
    ):
        OrthancDestination(name="pacs", url=url, timeout=5).send(objects)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b'{"Status": "FilteredOut"}', "FilteredOut"),
        (400, b"{}", "400"),
        (413, b"{}", "body size limit"),
        (415, b"{}", "415"),
    ],
)
def test_an_object_that_orthanc_refuses_does_not_keep_the_others(objects, status, body, message):
    """The second is uploaded; the error names the first and the reason."""
    answer, uploads = refusing_first(status, body)
    with http_server(answer) as url, pytest.raises(ObjectsRefused, match=message) as caught:
        OrthancDestination(name="pacs", url=url, timeout=5).send(objects)
    assert caught.value.uids == {objects[0].sop_instance_uid}
    assert "report.dcm" in str(caught.value)
    assert len(uploads) == 2


def test_a_web_page_is_no_orthanc(objects):
    """HTML with status 200, as a proxy gives while the archive starts, is tried again."""
    with http_server(lambda *_: (200, "text/html", b"<html>")) as url:
        destination = OrthancDestination(name="pacs", url=url, timeout=5)
        for call in (
            destination.probe,
            sending(destination, objects),
            verifying(destination, objects),
        ):
            with pytest.raises(DestinationUnavailable, match="not like Orthanc"):
                call()


def test_a_copy_without_end_is_cut_off(objects):
    """No more bytes are read back than the object can have."""

    def answer(_method, path):
        if path == "/tools/lookup":
            found = {"ID": "x", "Type": "Instance", "Path": "/instances/x"}
            return 200, "application/json", json.dumps([found]).encode()
        return 200, "application/dicom", bytes(8 * 2**20)

    with http_server(answer) as url, pytest.raises(DestinationRejected, match="encoding"):
        OrthancDestination(name="pacs", url=url, timeout=5).verify(objects)
