import contextlib
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

from dicom.errors import DestinationRejected, DestinationUnavailable
from dicom.scu.association import Peer, associate
from dicom.scu.store_scu import VERIFICATION, echo, send_files

CR = ComputedRadiographyImageStorage


def _image(path: Path, *, syntax=ExplicitVRLittleEndian, sop_class=CR, rows: int = 8) -> Path:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID = generate_uid()
    image.SeriesInstanceUID = generate_uid()
    image.PatientID = "SCU"
    image.Modality = "CR"
    image.Rows = image.Columns = rows
    image.BitsAllocated = 16
    image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, 0
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.PixelData = bytes(2 * rows * rows)
    if syntax.is_encapsulated:
        image.PixelData = encapsulate([bytes(64)])
    image["PixelData"].VR = "OB" if syntax.is_encapsulated else "OW"
    image.save_as(path, enforce_file_format=True)
    return path


def _data_set_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    meta_length = int.from_bytes(content[140:144], "little")
    return content[144 + meta_length :]


class _StoreSCP:
    """DCMTK's storescp: an independent receiver."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    @contextlib.contextmanager
    def running(self, *options: str):
        program = ["storescp", "-aet", "ANY", "-od", str(self.folder), *options, str(self.port)]
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(self.port)
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)

    def received(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    pytest.fail("storescp did not start")


@pytest.fixture
def storescp(tmp_path, free_port):
    """A storescp on a free port, started by the test with its options."""
    if not any(Path(folder, "storescp").exists() for folder in ("/usr/bin", "/usr/local/bin")):
        pytest.skip("DCMTK's storescp is not installed")
    folder = tmp_path / "received"
    folder.mkdir()
    return _StoreSCP(folder, free_port())


@contextlib.contextmanager
def _listener(behavior):
    """A server in a thread: `behavior(connection)` is run for each connection, which stays open."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connections.append(connection)
                    behavior(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for connection in connections:
            connection.close()


def _to(port: int, *, called: str = "ANY", timeout: float = 10.0) -> dict:
    return {
        "host": "127.0.0.1",
        "port": port,
        "calling": "WETREAD",
        "called": called,
        "timeout": timeout,
    }


def test_echo_is_answered_by_orthanc(orthanc):
    """A C-ECHO to a running Orthanc returns; nothing is raised, and nothing is reported."""
    assert echo(**_to(orthanc.dicom_port, called=orthanc.ae_title)) is None


def test_echo_names_the_ae_titles_when_they_are_wrong(orthanc):
    """An association refused for its called AE title is a rejection that says what to check."""
    with pytest.raises(DestinationRejected, match=r"Called AE title.*calling is WETREAD"):
        echo(**_to(orthanc.dicom_port, called="NOBODY"))


def test_nothing_listening_is_unavailable(free_port):
    """A refused connection is a temporary failure, and its message has host and port."""
    port = free_port()
    with pytest.raises(DestinationUnavailable, match=f"127.0.0.1:{port}.*check that it runs"):
        echo(**_to(port, timeout=2))


def test_a_host_that_does_not_exist_is_unavailable():
    """A name that does not resolve is reported."""
    with pytest.raises(DestinationUnavailable, match=r"nowhere\.invalid"):
        echo("nowhere.invalid", 104, calling="WETREAD", called="ANY", timeout=2)


def test_a_machine_without_a_thread_left_may_try_again(monkeypatch, free_port):
    """Python's RuntimeError about threads is a temporary failure here; no other RuntimeError is."""

    def refuse(message):
        def start(_):
            raise RuntimeError(message)

        monkeypatch.setattr(threading.Thread, "start", start)

    refuse("can't start new thread")
    with pytest.raises(DestinationUnavailable, match="cannot start a thread now"):
        echo(**_to(free_port(), timeout=2))
    refuse("threads can only be started once")
    with pytest.raises(RuntimeError, match="only be started once"):
        echo(**_to(free_port(), timeout=2))


@pytest.mark.serial
@pytest.mark.parametrize(
    "first_bytes",
    [
        pytest.param(b"", id="says nothing"),
        pytest.param(b"\x02\x00\x00\x00\x10", id="stops inside a PDU"),
        pytest.param(b"\x02\x00\x00\x00\x00\xc0" + bytes(20), id="stops inside a PDU's body"),
    ],
)
def test_a_server_that_never_answers_is_left_in_time(first_bytes):
    """A peer that accepts the connection and stalls costs at most a few timeouts, not for ever."""
    with _listener(lambda connection: connection.sendall(first_bytes)) as port:
        started = time.monotonic()
        with pytest.raises(DestinationUnavailable):
            echo(**_to(port, timeout=1))
        assert time.monotonic() - started < 5


def test_a_server_that_speaks_no_dicom_is_unavailable():
    """Bytes that are no PDU end the association with a message, not a traceback."""
    answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with (
        _listener(lambda connection: connection.sendall(answer)) as port,
        pytest.raises(DestinationUnavailable),
    ):
        echo(**_to(port, timeout=2))


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_files_arrive_in_their_own_transfer_syntax_byte_for_byte(storescp, tmp_path, syntax):
    """The data set that storescp writes is bit for bit that of the sent file."""
    image = _image(tmp_path / "image.dcm", syntax=syntax)
    with storescp.running("+xa", "+B"):
        outcomes = send_files([image], **_to(storescp.port))
    assert [outcome.status for outcome in outcomes] == [0x0000]
    (received,) = storescp.received()
    assert _data_set_bytes(received) == _data_set_bytes(image)


def test_a_peer_that_knows_only_implicit_gets_implicit(storescp, tmp_path):
    """An uncompressed image is encoded again for a peer that accepts nothing else."""
    image = _image(tmp_path / "image.dcm")
    with storescp.running("+xi"):
        outcomes = send_files([image], **_to(storescp.port))
    assert outcomes[0].stored
    (received,) = storescp.received()
    arrived = dcmread(received)
    assert arrived.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert arrived == dcmread(image)


def test_a_syntax_that_is_not_accepted_is_reported_for_that_file_only(storescp, tmp_path):
    """A compressed image that the peer cannot take is reported as an outcome; the others are stored."""
    plain = _image(tmp_path / "plain.dcm")
    compressed = _image(tmp_path / "compressed.dcm", syntax=JPEG2000Lossless)
    with storescp.running():
        progress_calls = []
        outcomes = send_files(
            [compressed, plain], **_to(storescp.port), progress=progress_calls.append
        )
    assert [outcome.stored for outcome in outcomes] == [False, True]
    assert "no presentation context" in outcomes[0].error
    assert "JPEG 2000" in outcomes[0].error
    assert progress_calls == outcomes


def test_a_file_that_is_no_dicom_is_an_outcome(storescp, tmp_path):
    """Text among the files is reported by its path; the rest is sent."""
    text = tmp_path / "notes.txt"
    text.write_text("not an image")
    image = _image(tmp_path / "image.dcm")
    with storescp.running():
        outcomes = send_files([text, tmp_path / "missing.dcm", image], **_to(storescp.port))
    assert [outcome.stored for outcome in outcomes] == [False, False, True]
    assert "notes.txt: not a DICOM file" in outcomes[0].error


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("TransferSyntaxUID", "not a UID"),
        ("MediaStorageSOPClassUID", ""),
        ("TransferSyntaxUID", "1"),
    ],
)
def test_a_file_with_an_impossible_header_is_an_outcome(storescp, tmp_path, keyword, value):
    """File meta information that names no UID is reported before anything is negotiated."""
    image = dcmread(_image(tmp_path / "image.dcm"))
    setattr(image.file_meta, keyword, value)
    image.save_as(tmp_path / "odd.dcm", implicit_vr=False, little_endian=True)
    with storescp.running():
        outcomes = send_files([tmp_path / "odd.dcm"], **_to(storescp.port))
    assert not outcomes[0].stored
    assert "odd.dcm: not a DICOM file" in outcomes[0].error


def test_more_contexts_than_fit_one_association_take_several(storescp, tmp_path):
    """Seventy SOP classes at two transfer syntaxes each, more than 128 contexts, are all offered."""
    images = [
        _image(tmp_path / f"{n}.dcm", sop_class=f"1.2.840.10008.5.1.4.1.1.{n}")
        for n in range(1, 70)
    ]
    known = _image(tmp_path / "known.dcm", sop_class=DigitalXRayImageStorageForPresentation)
    with storescp.running():
        outcomes = send_files([*images, known], **_to(storescp.port))
    assert len(outcomes) == 70
    assert outcomes[-1].stored


def test_an_aborting_peer_costs_one_outcome_each(storescp, tmp_path):
    """A receiver that aborts while the first image arrives leaves typed outcomes for all images."""
    images = [_image(tmp_path / f"{n}.dcm") for n in range(3)]
    with storescp.running("--abort-during"):
        outcomes = send_files(images, **_to(storescp.port, timeout=3))
    assert [outcome.stored for outcome in outcomes] == [False, False, False]
    assert all("ended the association" in outcome.error for outcome in outcomes)


def test_a_peer_that_stops_before_answering_a_store_is_left_in_time(storescp, tmp_path):
    """Without a C-STORE-RSP in time there is no status, and the association is not used again."""
    images = [_image(tmp_path / f"{n}.dcm") for n in range(2)]
    with storescp.running("--sleep-during", "20"):
        started = time.monotonic()
        outcomes = send_files(images, **_to(storescp.port, timeout=1))
    assert [outcome.status for outcome in outcomes] == [None, None]
    assert time.monotonic() - started < 15


def test_a_peer_that_stops_reading_is_left_in_time(tmp_path):
    """A write to a peer that never reads ends by the timeout, also with full socket buffers."""
    from pynetdicom import AE, evt  # noqa: PLC0415 - the stalling peer is made of the real protocol

    image = _image(tmp_path / "large.dcm", rows=4096)
    gate = threading.Event()
    scp = AE(ae_title="ANY")
    scp.add_supported_context(CR, ExplicitVRLittleEndian)
    stall = (evt.EVT_DATA_RECV, lambda event: event.data[:1] == b"\x04" and gate.wait(20))
    server = scp.start_server(("127.0.0.1", 0), block=False, evt_handlers=[stall])
    try:
        started = time.monotonic()
        outcomes = send_files([image], **_to(server.socket.getsockname()[1], timeout=1))
        assert not outcomes[0].stored
        assert time.monotonic() - started < 10
    finally:
        gate.set()
        server.shutdown()


def test_an_association_leaves_no_thread_behind(orthanc):
    """After twenty echoes the process has as many threads as before."""
    before = threading.active_count()
    for _ in range(20):
        echo(**_to(orthanc.dicom_port, called=orthanc.ae_title))
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_an_error_inside_aborts_the_association(orthanc):
    """An association is closed after any error."""
    peer = Peer(host="127.0.0.1", port=orthanc.dicom_port, called=orthanc.ae_title)
    with (
        pytest.raises(KeyError),
        associate(peer, [(VERIFICATION, ImplicitVRLittleEndian)]) as association,
    ):
        raise KeyError
    assert association.is_aborted
