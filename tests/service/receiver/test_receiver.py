"""The receiver process: its answers, log and counts, its stop and restart."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pynetdicom import AE

from dicom.parsing.header import check_identity, read_header
from dicom.scp.refusals import INSTANCE_CAUSES, Cause
from service.jobs import JobState
from service.store import Store
from tests.databases import make_database
from tests.service.receiver.callers import settings_for

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def test_a_new_caller_comes_in_without_a_restart(receiver, dcmtk, eventually):
    """The configuration file changes; the running receiver reads it by itself."""
    file = receiver.folder / "wetread.toml"
    file.write_text('[[receiver.callers]]\nae_title = "CR7"\n')
    del receiver.environment["WETREAD_RECEIVER__CALLERS"]
    receiver.start()

    def comes_in(title: str) -> bool:
        call = ("-aet", title, "-aec", "WETREAD", "127.0.0.1", receiver.port)
        return dcmtk("echoscu", *call).returncode == 0

    assert comes_in("CR7")
    assert not comes_in("CR8")
    file.write_text('[[receiver.callers]]\nae_title = "CR8"\n')
    eventually(lambda: comes_in("CR8"), seconds=10, what="the new caller")
    assert not comes_in("CR7")
    receiver.process.send_signal(signal.SIGHUP)
    assert comes_in("CR8")
    assert "Traceback" not in receiver.end()


def test_the_receiver_loads_no_torch():
    """The front of the service runs on a machine without the model."""
    script = (
        "import sys, service.receiver.receiver; print(sorted({'torch', 'transformers'} & "
        "{*sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


class Receiver:
    """A `wetread receive` process on a free port, with a database and Redis of its own."""

    def __init__(self, folder: Path, port: int, broker: str) -> None:
        self.port = port
        self.settings = settings_for(folder)
        make_database(self.settings.database_url)
        self.store = Store.open(self.settings)
        self.environment = {
            **os.environ,
            "WETREAD_DATA_DIR": str(folder),
            "WETREAD_BROKER__URL": broker,
            "WETREAD_LOG__FORMAT": "json",
            "WETREAD_RECEIVER__HOST": "127.0.0.1",
            "WETREAD_RECEIVER__PORT": str(port),
            "WETREAD_RECEIVER__MIN_FREE_BYTES": "0",
            "WETREAD_RECEIVER__CALLERS": '[{"ae_title": "CR1"}]',
            "WETREAD_RECEIVER__STORAGE_CLASSES": '["1.2.840.10008.5.1.4.1.1.7"]',
        }
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; return when it listens."""
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "receive"],
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                assert self.process.poll() is None, self.process.stderr
                assert time.monotonic() - begun < 30
                time.sleep(0.02)
            else:
                return

    def end(self, number: int = signal.SIGTERM) -> str:
        """Signal it and return its log once it has ended."""
        assert self.process is not None
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=40)
        return log


@pytest.fixture
def receiver(tmp_path, free_port, redis_server):
    """A receiver that is not started yet, and is not left running."""
    server = Receiver(tmp_path, free_port(), redis_server.url)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.process.kill()
        server.process.communicate()
    server.store.close()


def test_an_image_becomes_a_row_and_a_job_and_the_receiver_stops_in_order(
    receiver, dcmtk, shared_data, eventually
):
    """From dcmsend's Success to a scheduled study; then SIGTERM ends it with status 0."""
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    study = check_identity(read_header(image)).study_instance_uid
    receiver.start()
    call = ("-aet", "CR1", "-aec", "WETREAD", "127.0.0.1", receiver.port)
    assert dcmtk("echoscu", *call).returncode == 0
    assert dcmtk("dcmsend", *call, image).returncode == 0
    (row,) = receiver.store.instances(study)
    assert row.calling_ae == "CR1"
    assert row.path.is_file()
    assert row.path.is_relative_to(receiver.settings.spool_dir)
    eventually(receiver.store.jobs, seconds=10, what="a job")
    assert receiver.store.jobs()[0].state is JobState.SCHEDULED
    (beat,) = receiver.store.processes()
    assert beat.role == "receive"
    log = receiver.end()
    assert receiver.process.returncode == 0, log
    assert receiver.store.processes() == []
    assert '"receiver_stopped"' in log
    assert "Traceback" not in log


def test_it_listens_without_the_libraries_that_are_slow_to_load(receiver):
    """A restarted receiver is down for less than a modality's timeout."""
    receiver.start()
    mapped = [each.path for each in psutil.Process(receiver.process.pid).memory_maps()]
    assert any("/pydantic_core/" in each for each in mapped)
    slow = ("/torch/", "/tokenizers/", "/scipy/special/", "/scipy/stats/", "/scipy/sparse/")
    assert [each for each in mapped if any(name in each for name in slow)] == []


def test_an_unknown_calling_ae_is_refused_with_a_message_and_logged_once(receiver, dcmtk):
    """The sender's log has the reason; ours has AE title, address and reason in one line."""
    receiver.start()
    done = dcmtk("echoscu", "-v", "-aet", "STRANGER", "-aec", "WETREAD", "127.0.0.1", receiver.port)
    assert "Calling AE Title Not Recognized" in done.stderr
    log = receiver.end()
    lines = [line for line in log.splitlines() if "association_refused" in line]
    assert len(lines) == 1
    assert "STRANGER" in lines[0]
    assert "receiver.callers" in lines[0]


def test_what_is_not_accepted_is_logged_and_counted_by_the_process(receiver, eventually):
    """A refused class, an unknown calling AE and a malformed request: a log line and a row for each."""
    receiver.start()
    known = AE(ae_title="CR1")
    known.add_requested_context(ULTRASOUND)
    known.add_requested_context("1.2.840.10008.1.1")
    link = known.associate("127.0.0.1", receiver.port, ae_title="WETREAD")
    assert link.is_established
    link.release()
    stranger = AE(ae_title="STRANGER")
    stranger.add_requested_context("1.2.840.10008.1.1")
    assert stranger.associate("127.0.0.1", receiver.port, ae_title="WETREAD").is_rejected
    with socket.create_connection(("127.0.0.1", receiver.port), 5) as connection:
        connection.sendall(bytes([1, 0, 0, 0, 0, 10]) + bytes(10))
        assert connection.recv(10)[:1] == b"\7"

    def causes():
        return {each.refused.cause: each for each in receiver.store.refusals()}

    eventually(lambda: len(causes()) == 3, seconds=10, what="three counts")
    assert causes()[Cause.SOP_CLASS].refused.sop_class_uid == ULTRASOUND
    assert causes()[Cause.SOP_CLASS].refused.calling_ae == "CR1"
    assert causes()[Cause.CALLING_AE].refused.calling_ae == "STRANGER"
    assert causes()[Cause.INVALID_PDU].count == 1
    log = receiver.end()
    assert log.count("offered Ultrasound Image Storage: SOP Class not accepted") == 1
    assert log.count("association_refused") == 1
    assert log.count("association aborted") == 1


def test_a_refused_instance_and_an_association_are_counted(receiver, phantom_images, eventually):
    """Status and reason of the refusal, time and address of the association, by calling AE."""
    receiver.start()
    whole = dcmread(phantom_images["normal"])
    sender = AE(ae_title="CR1")
    sender.add_requested_context(whole.SOPClassUID, whole.file_meta.TransferSyntaxUID)
    link = sender.associate("127.0.0.1", receiver.port, ae_title="WETREAD")
    assert link.send_c_store(whole).Status == 0
    del whole.StudyInstanceUID
    assert link.send_c_store(whole).Status == 0xA900
    link.release()

    def refused():
        return [each for each in receiver.store.refusals() if each.refused.cause in INSTANCE_CAUSES]

    eventually(refused, seconds=10, what="the count of the refused Instance")
    (found,) = refused()
    assert (found.refused.cause, found.count) == (Cause.INSTANCE_MISMATCH, 1)
    assert found.refused.calling_ae == "CR1"
    assert found.refused.sop_class_uid == whole.SOPClassUID
    receiver.end()  # writes the counts of the last seconds
    (sent,) = receiver.store.calling_aes()
    assert (sent.ae_title, sent.address, sent.associations) == ("CR1", "127.0.0.1", 1)
    assert (sent.instances, sent.day_studies) == (1, 1)


def test_after_kill_every_acknowledged_image_is_there(receiver, dcmtk, shared_data):
    """Kill -9 between two sends loses neither row nor file, and the second start continues."""
    images = sorted((shared_data / "cxr-dicom").glob("barre_cxr_*.dcm"))
    call = ("-aet", "CR1", "-aec", "WETREAD", "127.0.0.1", receiver.port)
    receiver.start()
    assert dcmtk("dcmsend", *call, images[0]).returncode == 0
    receiver.end(signal.SIGKILL)
    receiver.start()
    assert dcmtk("dcmsend", *call, images[0]).returncode == 0
    study = check_identity(read_header(images[0])).study_instance_uid
    rows = receiver.store.instances(study)
    assert len(rows) == 1
    assert rows[0].path.is_file()


def test_a_stop_lets_the_running_association_finish_and_takes_no_new_one(
    receiver, phantom_images, eventually
):
    """SIGTERM between two images: the rest is acknowledged and kept, and the process ends with 0."""
    images = [dcmread(path) for path in phantom_images.values()]
    client = AE(ae_title="CR1")
    for image in images:
        client.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)

    def associate():
        return client.associate("127.0.0.1", receiver.port, ae_title="WETREAD")

    receiver.start()
    association = associate()
    statuses = [association.send_c_store(images[0]).Status]
    receiver.process.send_signal(signal.SIGTERM)
    eventually(lambda: not associate().is_established, seconds=20, what="a closed port")
    statuses += [association.send_c_store(image).Status for image in images[1:]]
    association.release()
    _, log = receiver.process.communicate(timeout=40)
    assert receiver.process.returncode == 0, log
    assert statuses == [0x0000] * len(images)
    for image in images:
        (row,) = receiver.store.instances_with_uid(image.SOPInstanceUID)
        assert row.path.is_file()


def test_two_processes_share_the_port_and_one_that_dies_comes_back(
    receiver, dcmtk, shared_data, eventually
):
    """Kill -9 of one of them refuses few associations; the end of the parent ends both."""
    receiver.environment["WETREAD_RECEIVER__PROCESSES"] = "2"
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    call = ("-aet", "CR1", "-aec", "WETREAD", "127.0.0.1", receiver.port)
    receiver.start()
    eventually(lambda: len(receiver.store.processes()) == 2, seconds=40, what="two processes")
    assert dcmtk("dcmsend", *call, image).returncode == 0
    first = {beat.pid for beat in receiver.store.processes()}
    os.kill(min(first), signal.SIGKILL)
    eventually(
        lambda: len({beat.pid for beat in receiver.store.processes()} - first) == 1,
        seconds=20,
        what="a new process",
    )
    assert dcmtk("dcmsend", *call, image).returncode == 0
    receiver.end()
    assert receiver.process.returncode == 0
    assert receiver.store.processes() == []


def test_a_receiver_whose_port_closed_by_a_fault_ends_so_that_another_starts(receiver):
    """It would continue to report itself as listening; the supervisor restarts an ended process."""
    program = (
        "import sys; from dicom.scp import listener; from service.cli import main\n"
        "def broken(self, listening): raise KeyError\n"
        "listener.Listener._accept = broken\n"
        "sys.argv = ['wetread', 'receive']; sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=receiver.folder,
        env=receiver.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", receiver.port), 1).close()
            except OSError:
                time.sleep(0.1)
        process.kill()
        log_text = process.stderr.read()
    assert process.returncode == 1
    assert "port was closed by a fault" in log_text


def test_a_port_that_is_taken_is_reported_in_one_line(receiver):
    """A second start reports which setting conflicts."""
    with socket.create_server(("127.0.0.1", receiver.port)):
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", "receive"],
            cwd=receiver.folder,
            env=receiver.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert f"cannot listen on 127.0.0.1 port {receiver.port}" in done.stderr
    assert f"port {receiver.port} is in use by another program: " in done.stderr
    assert "Stop it, or set receiver.port to a free port" in done.stderr
    assert "Address already in use" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.dcmtk
def test_a_receiver_with_the_tls_port_only_takes_images(receiver, dcmtk, shared_data, tmp_path):
    """`wetread receive` with `port = "none"`: DCMTK stores over TLS, no other port is open."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(certificate))
    command = ["openssl", "req", "-x509", *curve, *files, *names]
    subprocess.run(command, check=True, capture_output=True)
    receiver.environment |= {
        "WETREAD_RECEIVER__PORT": "none",
        "WETREAD_RECEIVER__TLS_PORT": str(receiver.port),
        "WETREAD_RECEIVER__TLS_CERTIFICATE": str(certificate),
        "WETREAD_RECEIVER__TLS_KEY": str(key),
    }
    receiver.start()
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    call = ("-aet", "CR1", "-aec", "WETREAD", "127.0.0.1", receiver.port, image)
    sent = dcmtk("storescu", "+tla", "+cf", certificate, *call)
    assert sent.returncode == 0, sent.stderr
    assert dcmtk("storescu", *call).returncode != 0
    (beat,) = receiver.store.processes()
    assert str(receiver.port) in beat.detail
    ours = psutil.Process(receiver.process.pid)
    listening = [each.laddr.port for each in ours.net_connections() if each.status == "LISTEN"]
    assert listening == [receiver.port]
    log = receiver.end()
    assert "it sent plain DICOM to the TLS port" in log
