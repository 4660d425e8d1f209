import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pynetdicom import AE

from dicom.errors import OutOfResources
from dicom.parsing.header import check_identity, read_header
from dicom.scp.association_request import BLANK_TITLE
from dicom.scp.refusals import INSTANCE_CAUSES, Cause
from dicom.scp.storage_handler import Refusal
from dicom.selection.local_files import describe
from dicom.spool.incoming_file import Announced
from dicom.spool.ingest import IncomingAssociation, Ingest, Received
from dicom.spool.spool import Spool, has_digest
from dicom.study import Instance
from service.database import schema
from service.jobs import JobState
from service.monitoring.heartbeat import Probe
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.settings.config import Settings
from service.store import Store

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def settings_for(folder: Path, **receiver) -> Settings:
    """Return settings with one known modality, CR1, at 127.0.0.1."""
    callers = ({"ae_title": "CR1", "address": "127.0.0.1"}, {"ae_title": "ANYWHERE"})
    return Settings(data_dir=folder, receiver={"callers": callers, "min_free_bytes": 0} | receiver)


def peer(**changes) -> IncomingAssociation:
    """Return an association of the known modality, with changes."""
    values = {"id": "1", "calling_ae": "CR1", "called_ae": "WETREAD", "address": "127.0.0.1"}
    return IncomingAssociation(**(values | changes))


@pytest.fixture
def reception(tmp_path):
    """A function that makes a Reception on a database of its own."""
    stores = []

    def make(**receiver) -> StorageService:
        settings = settings_for(tmp_path, **receiver)
        schema.upgrade(settings.database_url)
        store = Store.open(settings)
        stores.append(store)
        intake = Intake(store, settings, lambda _: None)
        return StorageService(settings, store, intake, Commitments(settings, store))

    yield make
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, None),
        ({"calling_ae": "ANYWHERE", "address": "10.0.0.9"}, None),
        ({"address": "::ffff:127.0.0.1"}, None),
        ({"called_ae": "OTHER"}, Refusal.CALLED_AE_NOT_RECOGNIZED),
        ({"calling_ae": "STRANGER"}, Refusal.CALLING_AE_NOT_RECOGNIZED),
        ({"calling_ae": "bad\nname"}, Refusal.CALLING_AE_NOT_RECOGNIZED),
        ({"calling_ae": ""}, Refusal.CALLING_AE_NOT_RECOGNIZED),
        ({"address": "10.0.0.9"}, Refusal.CALLING_AE_NOT_RECOGNIZED),
    ],
)
def test_only_known_callers_at_their_address_who_call_us_come_in(reception, changes, verdict):
    """Calling AE, called AE and address are each checked, and each refusal has its reason."""
    assert reception().admit(peer(**changes)) is verdict


def test_an_open_receiver_admits_any_valid_ae_title(reception):
    """A closed test network may do without a list, but not without an AE title."""
    receiver = reception(open=True)
    assert receiver.admit(peer(calling_ae="STRANGER")) is None
    assert receiver.admit(peer(calling_ae="")) is Refusal.CALLING_AE_NOT_RECOGNIZED


def test_a_blank_title_is_refused_unless_the_receiver_is_open(reception):
    """What stands for a blank title on the wire is named so in the incident."""
    receiver = reception()
    assert receiver.admit(peer(calling_ae=BLANK_TITLE)) is Refusal.CALLING_AE_NOT_RECOGNIZED
    assert "the calling AE title is blank" in receiver._store.incidents()[0].detail
    assert reception(open=True).admit(peer(calling_ae=BLANK_TITLE)) is None


def test_a_refusal_is_one_incident_however_often_it_tries(reception):
    """The page shows who was refused and why, once; not a line for each attempt."""
    receiver = reception()
    for _ in range(5):
        receiver.admit(peer(calling_ae="STRANGER"))
    receiver.admit(peer(called_ae="OTHER"))
    incidents = receiver._store.incidents()
    assert [incident.subject for incident in incidents] == [
        "CR1 at 127.0.0.1",
        "STRANGER at 127.0.0.1",
    ]
    assert "receiver.callers" in incidents[1].detail


def test_a_flood_of_names_writes_no_flood_of_incidents(reception, monkeypatch):
    """Somebody who tries thousands of AE titles cannot fill the database."""
    monkeypatch.setattr("service.receiver.storage_service._REMEMBERED", 10)
    receiver = reception()
    for number in range(50):
        receiver.admit(peer(calling_ae=f"GUESS{number}"))
    assert len(receiver._store.incidents()) == 10


def test_without_its_table_the_sender_gets_out_of_resources(reception, shared_data):
    """A database that fails is 0xA700: the modality keeps its image and tries again."""
    receiver = reception()
    schema.downgrade(receiver._settings.database_url, "base")
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    header = read_header(image)
    identity = check_identity(header)
    instance = Instance(
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        series_instance_uid=identity.series_instance_uid,
        study_instance_uid=identity.study_instance_uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=image,
        digest="0" * 64,
        size=1,
    )
    (fault,) = receiver.record([Received(instance=instance, header=header, association=peer())])
    assert isinstance(fault, OutOfResources)
    assert fault.status == 0xA700


def test_an_image_whose_row_was_there_without_its_file_is_read_when_it_comes_again(
    reception, phantom_images, tmp_path
):
    """The answer to a commit was lost, so the file was taken back, and the job found none and failed."""
    receiver, spool = reception(), Spool(tmp_path / "spool")
    store = receiver._store

    def lost(arrived):
        receiver.record(arrived)
        return [OutOfResources("the database does not accept it now") for _ in arrived]

    with pytest.raises(OutOfResources):
        Ingest(spool, lost).store(incoming_of(spool, phantom_images["normal"]), peer())
    (study,) = store.quiet_studies(store.now() + timedelta(minutes=1))
    assert not store.spooled(study)[0].path.exists()
    wanted = {"model": "demo", "version": "1", "actor": "t", "reason": "Released."}
    job = store.schedule(study, **wanted)
    held = store.claim_reading(job.id, "reader", 60)
    store.fail(job.id, held.fence, "TRANSIENT_READING_ERROR", "An image cannot be opened.")
    Ingest(spool, receiver.record).store(incoming_of(spool, phantom_images["normal"]), peer(id="2"))
    assert store.completed_by(["2"]) == [(study, "CR1")]
    again = store.schedule(study, **wanted)
    assert again.revision == 2
    held = store.claim_reading(again.id, "reader", 60)
    assert len(store.study(study, through=held.read_through).instances) == 1


@pytest.mark.parametrize("harm", ["short", "rotten"])
def test_an_image_whose_file_was_damaged_is_read_when_it_comes_again(
    reception, phantom_images, tmp_path, harm
):
    """Its job failed on what lay there; the sound bytes take its place and are a reason to read."""
    receiver, spool = reception(), Spool(tmp_path / "spool")
    store = receiver._store
    image = Ingest(spool, receiver.record).store(
        incoming_of(spool, phantom_images["normal"]), peer(id="1")
    )
    wanted = {"model": "demo", "version": "1", "actor": "t", "reason": "Released."}
    job = store.schedule(image.study_instance_uid, **wanted)
    held = store.claim_reading(job.id, "reader", 60)
    store.fail(job.id, held.fence, "PERMANENT_READING_ERROR", "An image cannot be opened.")
    content = image.path.read_bytes()
    image.path.write_bytes(content[:-9] if harm == "short" else content[:-9] + bytes(8) + b"\1")
    Ingest(spool, receiver.record).store(incoming_of(spool, phantom_images["normal"]), peer(id="2"))
    assert has_digest(image.path, image.digest)
    assert store.completed_by(["2"]) == [(image.study_instance_uid, "CR1")]
    assert store.schedule(image.study_instance_uid, **wanted).revision == 2


def test_a_damaged_image_that_came_again_in_vain_is_read_when_it_comes_once_more(
    reception, phantom_images, tmp_path
):
    """Its sound bytes are in their place since the first time, but no row reported it."""
    receiver, spool = reception(), Spool(tmp_path / "spool")
    store = receiver._store
    image = Ingest(spool, receiver.record).store(
        incoming_of(spool, phantom_images["normal"]), peer(id="1")
    )
    wanted = {"model": "demo", "version": "1", "actor": "t", "reason": "Released."}
    job = store.schedule(image.study_instance_uid, **wanted)
    held = store.claim_reading(job.id, "reader", 60)
    store.fail(job.id, held.fence, "PERMANENT_READING_ERROR", "An image cannot be opened.")
    image.path.write_bytes(image.path.read_bytes()[:-9])

    def away(arrived):
        return [OutOfResources("the database does not accept it now") for _ in arrived]

    with pytest.raises(OutOfResources):
        Ingest(spool, away).store(incoming_of(spool, phantom_images["normal"]), peer(id="2"))
    assert has_digest(image.path, image.digest)
    for number in ("3", "4"):
        Ingest(spool, receiver.record).store(
            incoming_of(spool, phantom_images["normal"]), peer(id=number)
        )
    assert store.completed_by(["2", "4"]) == []
    assert store.completed_by(["3"]) == [(image.study_instance_uid, "CR1")]
    assert store.schedule(image.study_instance_uid, **wanted).revision == 2


def incoming_of(spool, image):
    """Return an image's data set on its way to the spool."""
    header = read_header(image)
    identity = check_identity(header)
    incoming = spool.receive(
        Announced(
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
            source_ae="CR1",
        )
    )
    content = image.read_bytes()
    incoming.write(content[144 + int.from_bytes(content[140:144], "little") :])
    return incoming


def test_while_the_database_is_away_images_are_refused_at_their_command(reception, shared_data):
    """0xA700 from the first failure on, and Success again once the database answers."""
    receiver = reception(callers=({"ae_title": "CR1", "films_per_minute": 2},))
    store = Store(receiver._settings.database_url, busy_seconds=0.2)
    receiver._intake._store = store
    image = describe(shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm")
    arrived = [Received(instance=image, header=read_header(image.path), association=peer())]
    probe = Probe(store, "receive@here", 104)
    with closing(sqlite3.connect(receiver._settings.data_dir / "wetread.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert receiver.unavailable(peer()) is None
        assert receiver.record(arrived)[0].status == 0xA700
        assert receiver.unavailable(peer()).status == 0xA700
        receiver.set_database_available(probe.beat_if_due(force=True))
        assert not receiver.is_ready
        other.execute("ROLLBACK")
    receiver.set_database_available(probe.beat_if_due(force=True))
    assert receiver.record(arrived) == [None]
    assert receiver.unavailable(peer()) is None
    assert "per minute" in str(receiver.unavailable(peer()))
    store.close()


def test_a_new_caller_comes_in_without_a_restart(receiver, dcmtk, eventually):
    """The configuration file changes; the running receiver takes it up by itself."""
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
        schema.upgrade(self.settings.database_url)
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


def test_it_listens_after_less_than_two_seconds_of_work(receiver):
    """A receiver that was restarted is away for less than a modality's patience."""
    receiver.start()
    # Processor time: what else runs on the machine must not decide.
    used = psutil.Process(receiver.process.pid).cpu_times()
    assert used.user + used.system < 2.0


def test_an_unknown_calling_ae_is_refused_with_a_message_and_logged_once(receiver, dcmtk):
    """The sender's own log says why; ours says who, from where and why, in one line."""
    receiver.start()
    done = dcmtk("echoscu", "-v", "-aet", "STRANGER", "-aec", "WETREAD", "127.0.0.1", receiver.port)
    assert "Calling AE Title Not Recognized" in done.stderr
    log = receiver.end()
    lines = [line for line in log.splitlines() if "association_refused" in line]
    assert len(lines) == 1
    assert "STRANGER" in lines[0]
    assert "receiver.callers" in lines[0]


def test_what_is_not_accepted_is_logged_and_counted_by_the_process(receiver, eventually):
    """A refused class, an unknown caller and a malformed request: a log line and a row for each."""
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
    receiver.end()  # writes what the last seconds brought
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
    """Kill -9 of one of them refuses nobody for long; the end of the parent ends both."""
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
    """It would go on to call itself listening; its supervisor starts again what has ended."""
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
        told = process.stderr.read()
    assert process.returncode == 1
    assert "port was closed by a fault" in told


def test_a_port_that_is_taken_is_reported_in_one_line(receiver):
    """Whoever starts it twice reads which setting is in the way."""
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
