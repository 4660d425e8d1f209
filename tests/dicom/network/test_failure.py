"""The messages about peers that cannot be reached: real failing connections of each HTTP library."""

import socket
import threading

import pytest

from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DestinationSilent

LIBRARY_WORDS = ("Error", "Errno", "Exception", "Max retries", "urllib3", "httpx", "HTTPConnection")


@pytest.fixture(params=[OrthancDestination, StowDestination])
def failing(request):
    """A function that returns the reason why a destination at a URL cannot be reached."""

    def probe(url: str) -> str:
        with pytest.raises(DestinationSilent) as caught:
            request.param(name="pacs", url=url, timeout=5).probe()
        return str(caught.value)

    return probe


@pytest.fixture
def closing():
    """The port of a server that closes each connection without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(65536)
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_what_refuses_connections_is_reported_without_the_text_of_a_library(failing, free_port):
    """Nothing listens at the port."""
    message = failing(f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached: the connection was refused" in message
    assert not any(each in message for each in LIBRARY_WORDS)


def test_a_host_name_that_is_not_known_is_reported(failing):
    """The name is in a domain that never exists (RFC 6761)."""
    message = failing("http://pacs.invalid:8042")
    assert "cannot be reached: its host name cannot be resolved" in message
    assert not any(each in message for each in LIBRARY_WORDS)


def test_a_connection_that_is_closed_without_an_answer_is_reported(failing, closing):
    """It accepts the connection and closes it."""
    message = failing(f"http://127.0.0.1:{closing}")
    assert "it closed the connection without a complete answer" in message
    assert not any(each in message for each in LIBRARY_WORDS)
