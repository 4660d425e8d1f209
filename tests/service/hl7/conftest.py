"""A listener in this process on a port of its own, and a client that speaks MLLP."""

import contextlib
import socket
import threading
from dataclasses import dataclass

import pytest

from service.hl7.counts import MessageCounts
from service.hl7.server import Listener, tls_of
from service.hl7.taking import MessageTaker
from service.settings.config import settings_of
from service.store import Store
from tests.databases import make_database
from tests.hl7_messages import framed


class Client:
    """A connection to a listener."""

    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        if context is not None:
            self.socket = context.wrap_socket(self.socket)
        self._read = b""

    def send(self, *pieces):
        """Send bytes as they are."""
        for piece in pieces:
            self.socket.sendall(piece)

    def answer(self):
        """Return the segments of the next acknowledgment as lists of fields; [] if the peer closed."""
        while b"\x1c\r" not in self._read:
            try:
                data = self.socket.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                assert not self._read
                return []
            self._read += data
        first, _, self._read = self._read.partition(b"\x1c\r")
        assert first[:1] == b"\x0b"
        return [line.split("|") for line in first[1:].decode().split("\r")]

    def ask(self, content):
        """Send a message; return MSA."""
        self.send(framed(content))
        return self.answer()[1]

    def close(self):
        """Close the connection."""
        self.socket.close()


@dataclass
class Site:
    """A listener that runs."""

    port: int
    store: Store
    counts: MessageCounts
    taker: MessageTaker

    def results(self):
        """Return the counts of messages as they are in the database."""
        self.counts.write()
        return {each.result.value: each.count for each in self.store.hl7_messages()}


@pytest.fixture
def log(capsys):
    """A function: everything that was logged so far."""
    written = []

    def text():
        written.extend(capsys.readouterr())
        return "".join(written)

    return text


@pytest.fixture
def database(tmp_path):
    """The file of an empty database."""
    path = tmp_path / "hl7.db"
    make_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def listening(database, tmp_path):
    """A function: settings of `[hl7]` -> a site whose listener runs; all end with the test."""
    with contextlib.ExitStack() as stack:
        store = Store(f"sqlite:///{database}", busy_seconds=0.5)
        stack.callback(store.close)

        def start(accession_fields=("OBR-18",), **table):
            settings = settings_of({"data_dir": tmp_path, "hl7": {"port": 0, **table}})
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            counts = MessageCounts(store)
            taker = MessageTaker(store, settings.final_reports.taking, accession_fields, counts)
            stop = threading.Event()
            server = Listener(settings.hl7, listener, taker, tls_of(settings))
            thread = threading.Thread(target=server.run, args=(stop,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)
            return Site(listener.getsockname()[1], store, counts, taker)

        yield start


@pytest.fixture
def connect():
    """A function: port -> a client, closed with the test."""
    with contextlib.ExitStack() as stack:

        def open_client(port, context=None):
            client = Client(port, context)
            stack.callback(client.close)
            return client

        yield open_client
