import json
import threading
import time
from queue import Queue

import pytest
from blake3 import blake3
from pynetdicom import AE, evt
from structlog.testing import capture_logs

from dicom.errors import OutOfResources
from dicom.parsing.header import Identity
from dicom.scu.commitment import PUSH_MODEL, CommitmentRequest, Reference
from dicom.spool.incoming_file import Announced
from dicom.spool.ingest import IncomingAssociation
from dicom.spool.spool import Spool
from service.database import schema
from service.receiver import commitment
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.settings.config import Settings
from service.store import Store

CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
def settings(tmp_path):
    """Settings with a database and a spool of their own."""
    made = Settings(data_dir=tmp_path)
    schema.upgrade(made.database_url)
    return made


@pytest.fixture
def store(settings):
    """The store of these settings."""
    opened = Store.open(settings)
    yield opened
    opened.close()


def keep(settings, store, uid: str, content: bytes):
    """Return an instance that is in the spool and recorded."""
    spool = Spool(settings.spool_dir)
    announced = Announced(
        sop_class_uid=CR, sop_instance_uid=uid, transfer_syntax_uid="1.2.3", source_ae="CR1"
    )
    incoming = spool.receive(announced)
    incoming.write(content)
    identity = Identity(
        sop_instance_uid=uid,
        sop_class_uid=CR,
        study_instance_uid="1.2.1",
        series_instance_uid="1.2.2",
    )
    instance = spool.store(incoming, identity).instance
    store.add_instance(instance, calling_ae="CR1", association_id="1", eligible=True)
    assert instance.digest == blake3(content).hexdigest(length=28)
    return instance


def asked(*uids: str, sop_class: str = CR) -> CommitmentRequest:
    """Return a request for these instances."""
    references = tuple(Reference(sop_class_uid=sop_class, sop_instance_uid=uid) for uid in uids)
    return CommitmentRequest(transaction_uid="1.2.3.4", references=references)


def test_what_is_on_the_disk_with_its_hash_is_committed_and_nothing_else(settings, store):
    """A changed byte, a missing file, a UID never seen, another class: each has its reason."""
    for number in (1, 2, 3):
        keep(settings, store, f"1.2.{number}", bytes([number]) * 1000)
    desk = Commitments(settings, store)
    assert desk.failures(asked("1.2.1", "1.2.2", "1.2.3")) == {}
    changed = store.instances_with_uid("1.2.2")[0].path
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    store.instances_with_uid("1.2.3")[0].path.unlink()
    assert desk.failures(asked("1.2.1", "1.2.2", "1.2.3", "1.2.77")) == {
        "1.2.2": 0x0112,
        "1.2.3": 0x0112,
        "1.2.77": 0x0112,
    }
    assert desk.failures(asked("1.2.1", sop_class="1.2.840.10008.5.1.4.1.1.7")) == {"1.2.1": 0x0119}


def test_a_report_is_tried_again_until_the_modality_listens(
    tmp_path, settings, store, free_port, monkeypatch, eventually
):
    """Nobody answers at first, the process starts anew, then the modality is there."""
    monkeypatch.setattr(commitment, "_FIRST_WAIT", 0.05)
    keep(settings, store, "1.2.1", b"film")
    port = free_port()
    caller = {"ae_title": "CR1", "commitment_port": port}
    known = settings.model_copy(
        update={"receiver": Settings(receiver={"callers": [caller]}).receiver}
    )
    desk = Commitments(known, store)
    reception = StorageService(known, store, Intake(store, known, lambda _: None), desk)
    peer = IncomingAssociation(id="1", calling_ae="CR1", called_ae="WETREAD", address="127.0.0.1")
    assert reception.accept_commitment(asked("1.2.1"), peer)
    desk.start()
    time.sleep(0.5)
    desk.stop()
    assert len(list((tmp_path / "commitments").glob("*.json"))) == 1
    heard: Queue = Queue()

    def hear(event):
        heard.put((event.assoc.requestor.ae_title, event.event_type, event.event_information))
        return 0x0000, None

    modality = AE(ae_title="CR1")
    modality.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
    server = modality.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)]
    )
    again = Commitments(known, store)
    again.start()
    try:
        calling, kind, report = heard.get(timeout=20)
        assert (calling, kind) == ("WETREAD", 1)
        assert report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.1"
        eventually(
            lambda: not list((tmp_path / "commitments").iterdir()), seconds=10, what="no debt"
        )
    finally:
        again.stop()
        server.shutdown()
    assert not [each for each in threading.enumerate() if each.name == "commitments"]


@pytest.fixture
def modality():
    """A modality that listens: its port, and the kinds of report that it heard."""
    heard: Queue = Queue()

    def hear(event):
        heard.put(event.event_type)
        return 0x0000, None

    entity = AE(ae_title="CR1")
    entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, hear)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield server.socket.getsockname()[1], heard
    server.shutdown()


def test_a_promise_that_cannot_be_read_now_is_kept_later(settings, store, modality, eventually):
    """A disk that errs ends neither the promise nor the thread that keeps promises."""
    port, heard = modality
    keep(settings, store, "1.2.1", b"film")
    desk = Commitments(settings, store)
    desk.promise(asked("1.2.1"), host="127.0.0.1", port=port, called="CR1")
    (path,) = (settings.data_dir / "commitments").glob("*.json")
    aside = path.rename(settings.data_dir / "aside")
    path.mkdir()  # reading it is an error, and it is not gone
    with capture_logs() as logs:
        desk.start()
        try:
            eventually(
                lambda: "commitment_not_processed" in [entry["event"] for entry in logs],
                seconds=10,
                what="a look at it",
            )
            time.sleep(3 * commitment.POLL_SECONDS)  # more looks, and no more words
            assert [entry["event"] for entry in logs].count("commitment_not_processed") == 1
            path.rmdir()
            aside.rename(path)
            assert heard.get(timeout=20) == 1
        finally:
            desk.stop()


def test_a_clock_that_was_ahead_holds_up_no_report(settings, store, modality):
    """What was put off by a clock that was a day ahead is reported once it is right again."""
    port, heard = modality
    keep(settings, store, "1.2.1", b"film")
    desk = Commitments(settings, store)
    desk.promise(asked("1.2.1"), host="127.0.0.1", port=port, called="CR1")
    (path,) = (settings.data_dir / "commitments").glob("*.json")
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | {"due": time.time() + 86400, "tries": 1}))
    desk.start()
    try:
        assert heard.get(timeout=20) == 1
    finally:
        desk.stop()


@pytest.mark.parametrize("fault", ["database", "spool", "file"])
def test_a_fault_of_ours_that_passes_is_no_final_answer(
    settings, store, modality, eventually, fault
):
    """The report stays owed while the answer is not known, and then says what is true."""
    port, heard = modality
    instance = keep(settings, store, "1.2.1", b"film")
    place = {
        "database": settings.data_dir / settings.database_url.rpartition("/")[2],
        "spool": settings.spool_dir,
        "file": instance.path,
    }[fault]
    store.close()
    aside = place.rename(settings.data_dir / "aside")
    if fault != "database":
        place.mkdir()  # an unmounted disk; a file that cannot be read
    desk = Commitments(settings, store)
    with pytest.raises(OutOfResources):
        desk.failures(asked("1.2.1"))
    desk.promise(asked("1.2.1"), host="127.0.0.1", port=port, called="CR1")
    with capture_logs() as logs:
        desk.start()
        try:
            eventually(
                lambda: "commitment_unknown" in [entry["event"] for entry in logs],
                seconds=10,
                what="a try",
            )
            assert list((settings.data_dir / "commitments").glob("*.json"))
            assert heard.empty()
            store.close()
            if fault != "database":
                place.rmdir()
            aside.replace(place)
            assert heard.get(timeout=30) == 1  # all is committed
        finally:
            desk.stop()
