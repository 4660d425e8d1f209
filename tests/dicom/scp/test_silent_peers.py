"""Peers that keep a connection open, silent or with a byte now and then: each costs one timeout."""

import hashlib
import socket
import threading
import time

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE, evt

from dicom.destinations.destination import EncodedObject
from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.dimse import DimseDestination
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DestinationError, DestinationSilent
from dicom.scu.association import Peer

TIMEOUT = 1
STEP = 0.1  # seconds between two bytes: each read of the other side succeeds well within TIMEOUT
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


class Peers:
    """Servers on free ports; each connection gets a thread that runs `serve(connection)`."""

    def __init__(self):
        self._listeners, self._over = [], threading.Event()

    def start(self, serve):
        """Return the port of a server whose connections do this until the test ends."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        # Small: the sent bytes must not fit into buffers.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, serve), daemon=True).start()
        return listener.getsockname()[1]

    def _accept(self, listener, serve):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection, serve), daemon=True).start()

    def _run(self, connection, serve):
        try:
            serve(connection)
            self._over.wait()
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        """End them all."""
        self._over.set()
        for listener in self._listeners:
            listener.close()


@pytest.fixture
def peers():
    """Starts servers that misbehave."""
    started = Peers()
    yield started
    started.close()


@pytest.fixture
def objects(tmp_path):
    """A picture of half a megabyte."""
    picture = Dataset()
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = generate_uid()
    picture.StudyInstanceUID, picture.SeriesInstanceUID = generate_uid(), generate_uid()
    picture.Rows, picture.Columns = 512, 512
    picture.PixelData = bytes(2**19)
    picture["PixelData"].VR = "OW"
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "overlay.dcm"
    picture.save_as(path, enforce_file_format=True)
    return [
        EncodedObject(
            sop_class_uid=picture.SOPClassUID,
            sop_instance_uid=picture.SOPInstanceUID,
            series_instance_uid=picture.SeriesInstanceUID,
            study_instance_uid=picture.StudyInstanceUID,
            path=path,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
    ]


def nothing(_connection):
    """Accept the connection and never send anything."""


def drip(head, piece=b"\0"):
    """Answer with `head`, then byte by byte without end."""

    def serve(connection):
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(STEP)

    return serve


def sip(connection):
    """Read a byte now and then, and never answer."""
    while connection.recv(1):
        time.sleep(STEP)


def dimse(port):
    """A destination by C-STORE."""
    peer = Peer(name="pacs", host="127.0.0.1", port=port, called="PACS", timeout=TIMEOUT)
    return DimseDestination(peer)


def orthanc(port):
    """A destination by Orthanc's REST API."""
    return OrthancDestination(name="pacs", url=f"http://127.0.0.1:{port}", timeout=TIMEOUT)


def stow(port):
    """A destination by DICOMweb."""
    return StowDestination(name="pacs", url=f"http://127.0.0.1:{port}/web", timeout=TIMEOUT)


def _is_silent(call, seconds):
    begun, threads = time.monotonic(), threading.active_count()
    with pytest.raises(DestinationSilent, match="pacs"):
        call()
    assert time.monotonic() - begun < seconds
    deadline = time.monotonic() + 5
    while threading.active_count() > threads + 1 and time.monotonic() < deadline:
        time.sleep(0.05)  # the peer's own thread, and ours that end now
    assert threading.active_count() <= threads + 1, [each.name for each in threading.enumerate()]


@pytest.mark.serial
@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(nothing, id="hole"),
        pytest.param(drip(b""), id="drips-garbage"),
        pytest.param(drip(b"\x02\x00\x00\x10\x00\x00"), id="drips-an-acceptance"),
        pytest.param(drip(b"\x03\x00\x00\x10\x00\x00"), id="drips-a-rejection"),
        pytest.param(sip, id="reads-byte-by-byte"),
    ],
)
def test_a_negotiation_is_limited_as_a_whole(peers, objects, serve):
    """The send ends in time for any invalid answer to the association request."""
    destination = dimse(peers.start(serve))
    for call in (
        lambda: destination.send(objects),
        lambda: destination.verify(objects),
        destination.probe,
    ):
        with pytest.raises(DestinationError):
            call()
    begun = time.monotonic()
    with pytest.raises(DestinationError):
        destination.send(objects)
    assert time.monotonic() - begun < 4 * TIMEOUT


@pytest.fixture
def pacs():
    """A function: handlers -> the port of a pynetdicom server with them."""
    servers = []

    def start(**handlers):
        entity = AE(ae_title="PACS")
        entity.add_supported_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
        entity.add_supported_context(FIND)
        bound = [(getattr(evt, name), handler) for name, handler in handlers.items()]
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound))
        return servers[-1].server_address[1]

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.serial
def test_a_pacs_that_never_answers_a_store_costs_one_timeout(pacs, objects):
    """The association is accepted, the object taken, and no C-STORE-RSP comes."""
    over = threading.Event()

    def hold(_event):
        over.wait(20)
        return 0

    port = pacs(EVT_C_STORE=hold)
    begun = time.monotonic()
    with pytest.raises(DestinationSilent, match="pacs"):
        dimse(port).send(objects)
    assert time.monotonic() - begun < 5 * TIMEOUT
    over.set()


@pytest.mark.serial
def test_a_pacs_that_drips_its_answer_is_ended(peers, pacs, objects):
    """Behind a proxy that passes the answers on byte by byte no exchange exceeds its time limit."""
    behind = pacs(EVT_C_STORE=lambda _: 0)

    def slowly(connection):
        with socket.create_connection(("127.0.0.1", behind)) as target:

            def up():
                while content := connection.recv(65536):
                    target.sendall(content)

            threading.Thread(target=up, daemon=True).start()
            accepted = target.recv(65536)
            connection.sendall(accepted)
            while content := target.recv(65536):
                for number in range(len(content)):
                    connection.sendall(content[number : number + 1])
                    time.sleep(STEP)

    port = peers.start(slowly)
    begun = time.monotonic()
    with pytest.raises(DestinationSilent, match="pacs"):
        dimse(port).send(objects)
    assert time.monotonic() - begun < 6 * TIMEOUT


@pytest.mark.serial
def test_a_pacs_that_stops_reading_is_ended(peers, pacs, objects):
    """It accepts the association and then takes the object byte by byte."""
    behind = pacs(EVT_C_STORE=lambda _: 0)

    def slowly(connection):
        with socket.create_connection(("127.0.0.1", behind)) as target:
            target.sendall(connection.recv(65536))
            connection.sendall(target.recv(65536))
            sip(connection)

    port = peers.start(slowly)
    begun = time.monotonic()
    with pytest.raises(DestinationSilent, match="pacs"):
        dimse(port).send(objects)
    assert time.monotonic() - begun < 6 * TIMEOUT


@pytest.mark.serial
def test_a_c_find_of_many_late_answers_is_limited_as_a_whole(pacs, objects):
    """Each pending response is in time; their sum exceeds the limit."""

    def late(_event):
        answer = Dataset()
        answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", "1.2.3"
        for _ in range(90):
            time.sleep(TIMEOUT / 2)
            yield 0xFF00, answer

    port = pacs(EVT_C_FIND=late)
    begun = time.monotonic()
    with pytest.raises(DestinationSilent, match="pacs"):
        dimse(port).verify(objects)
    assert time.monotonic() - begun < 6 * TIMEOUT


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("make", [orthanc, stow], ids=["orthanc", "stow"])
@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(nothing, id="hole"),
        pytest.param(drip(b"HTTP/1.1 2"), id="drips-the-status"),
        pytest.param(drip(HEAD + b"X-Slow: ", b"a"), id="drips-a-header"),
        pytest.param(drip(HEAD + b"Content-Length: 100000\r\n\r\n", b" "), id="drips-a-body"),
        pytest.param(drip(HEAD + b"\r\n", b" "), id="never-closes"),
        pytest.param(
            drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"), id="drips-chunks"
        ),
        pytest.param(sip, id="reads-byte-by-byte"),
    ],
)
def test_an_http_exchange_is_limited_as_a_whole(peers, objects, make, serve):
    """Upload, status, headers and body share one limit: the timeout and what the bytes may take."""
    destination = make(peers.start(serve))
    # Half a megabyte at the slowest rate that is allowed takes 4 s.
    _is_silent(lambda: destination.send(objects), TIMEOUT + 4 + 4)
    _is_silent(destination.probe, TIMEOUT + 4)


@pytest.mark.parametrize("make", [orthanc, stow], ids=["orthanc", "stow"])
def test_a_connection_that_was_used_before_is_limited_too(peers, make):
    """A kept connection answers the first request and drips at the second."""
    body = b'{"ApiVersion": 9}' if make is orthanc else b"[]"

    def once(connection):
        connection.recv(65536)
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        drip(HEAD + b"X-Slow: ", b"a")(connection)

    destination = make(peers.start(once))
    destination.probe()
    _is_silent(destination.probe, TIMEOUT + 4)
