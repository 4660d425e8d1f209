"""Requests to a real Orthanc, by orthanc-api-client and by requests alone."""

import pytest
import requests

from dicom import library
from dicom.destinations.http import HttpRoute
from dicom.destinations.orthanc_client import LIBRARY, StatusError, orthanc_client

pytestmark = pytest.mark.orthanc


@pytest.fixture(params=["tried", "99.1"])
def connect(request, monkeypatch):
    """A function: URL -> client; the second parameter makes the library's version an untested one."""
    if request.param != "tried":
        monkeypatch.setattr(library, "_installed", lambda _: request.param)
    assert LIBRARY.is_tested is (request.param == "tried")
    return lambda url: orthanc_client(
        url=url, user="", password="", timeout=10.0, pool=2, route=HttpRoute()
    )


@pytest.fixture
def client(connect, orthanc):
    """A client of a real Orthanc."""
    return connect(orthanc.url)


def test_an_answer_is_returned_whole_cut_off_and_in_pieces(client):
    """The description of the system."""
    whole = client.body("GET", "system", limit=2**20)
    assert b"ApiVersion" in whole
    assert b"".join(client.pieces("system")) == whole
    found = client.body("POST", "tools/lookup", limit=2**20, data="1.2.3")
    assert found.strip() == b"[]"


def test_a_refusal_is_raised_at_once_with_its_status(client):
    """An empty file is none, and this resource does not exist."""
    with pytest.raises(StatusError) as refused:
        client.body("POST", "instances", limit=2**20)
    assert refused.value.http_status_code == 400
    with pytest.raises(StatusError) as missing:
        client.body("DELETE", "instances/none", limit=2**20)
    assert missing.value.http_status_code == 404


def test_a_server_that_is_away_is_an_error_of_requests(connect, free_port):
    """Raised at once: the library does not retry by itself."""
    away = connect(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(requests.ConnectionError):
        away.body("GET", "system", limit=2**20)
