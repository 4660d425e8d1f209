"""Requests by httpx end with their deadline, with a real server that sends nothing."""

import socket

import httpx
import pytest

from dicom.network.deadline import Deadline
from dicom.network.httpx_transport import LimitedTransport


@pytest.fixture
def silent_server():
    """The address of a port that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_silent_server_is_cut_off(silent_server):
    """Httpx's own timeout is far away."""
    with httpx.Client(transport=LimitedTransport(), timeout=60) as client:
        with Deadline(0.1) as deadline, pytest.raises(httpx.TransportError):
            client.get(silent_server)
        assert deadline.expired


def test_a_kept_connection_follows_the_next_deadline(scripted_http):
    """The second request over the same connection has a deadline of its own."""
    with httpx.Client(transport=LimitedTransport(), timeout=60) as client:
        with Deadline(30):
            assert client.get(scripted_http).text == "ok"
        with Deadline(30) as second:
            assert client.get(scripted_http).text == "ok"
            assert len(second._connections) == 1
