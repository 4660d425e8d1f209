"""Requests by requests end with their deadline, with a real server that sends nothing."""

import socket

import pytest
import requests

from dicom.network.deadline import Deadline
from dicom.network.requests_adapter import LimitedAdapter


@pytest.fixture
def session():
    """A session with the adapter for both schemes."""
    with requests.Session() as made:
        made.trust_env = False
        for scheme in ("http://", "https://"):
            made.mount(scheme, LimitedAdapter())
        yield made


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_server_is_cut_off(session, scheme):
    """In the response, and in the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
        with Deadline(0.1) as deadline, pytest.raises(requests.RequestException):
            session.get(address, timeout=60)
        assert deadline.expired


def test_a_kept_connection_follows_the_next_deadline(session, scripted_http):
    """The second request over the same connection has a deadline of its own."""
    for _ in range(2):
        with Deadline(30) as deadline:
            assert session.get(scripted_http, timeout=60).text == "ok"
            assert len(deadline._connections) == 1
