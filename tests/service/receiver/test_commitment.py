import pytest
from blake3 import blake3

from dicom.errors import OutOfResources
from dicom.parsing.header import Identity
from dicom.scu.commitment_request import CommitmentRequest, Reference
from dicom.spool.incoming_file import Announced
from dicom.spool.ingest import IncomingAssociation
from dicom.spool.spool import Spool
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.records import CommitmentState
from service.settings.config import Settings
from service.store import Store
from tests.databases import make_database

CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
def settings(tmp_path):
    """Settings with a database and a spool of their own."""
    made = Settings(data_dir=tmp_path)
    make_database(made.database_url)
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


def test_a_report_is_owed_before_the_request_is_accepted(settings, store):
    """Another process that opens the database then finds transaction, peer, address and Instances."""
    caller = {"ae_title": "CR1", "address": "10.0.0.7", "commitment_port": 2762}
    known = settings.model_copy(
        update={"receiver": Settings(receiver={"callers": [caller]}).receiver}
    )
    desk = Commitments(known, store)
    reception = StorageService(known, store, Intake(store, known, lambda _: None), desk)
    peer = IncomingAssociation(id="1", calling_ae="CR1", called_ae="WETREAD", address="10.0.0.7")
    assert reception.accept_commitment(asked("1.2.1", "1.2.2"), peer)
    other = Store.open(settings)
    (owed,) = other.commitment_reports()
    other.close()
    assert (owed.ae_title, owed.host, owed.port) == ("CR1", "10.0.0.7", 2762)
    assert owed.request == asked("1.2.1", "1.2.2")
    assert (owed.state, owed.attempts, owed.failures) == (CommitmentState.OWED, 0, None)


def test_a_peer_without_a_port_gets_its_report_on_its_association(settings, store):
    """The database has no pending report: the association of the request carries the report."""
    reception = StorageService(
        settings, store, Intake(store, settings, lambda _: None), Commitments(settings, store)
    )
    peer = IncomingAssociation(id="1", calling_ae="CR1", called_ae="WETREAD", address="127.0.0.1")
    assert not reception.accept_commitment(asked("1.2.1"), peer)
    assert store.commitment_reports() == []


@pytest.mark.parametrize("fault", ["database", "spool", "file"])
def test_a_fault_of_ours_is_no_answer(settings, store, fault):
    """The outcome is unknown then, and no report is announced without a database."""
    instance = keep(settings, store, "1.2.1", b"film")
    place = {
        "database": settings.data_dir / settings.database_url.rpartition("/")[2],
        "spool": settings.spool_dir,
        "file": instance.path,
    }[fault]
    store.close()
    place.rename(settings.data_dir / "aside")
    if fault != "database":
        place.mkdir()  # an unmounted disk; a file that cannot be read
    desk = Commitments(settings, store)
    with pytest.raises(OutOfResources):
        desk.failures(asked("1.2.1"))
    if fault == "database":
        with pytest.raises(OutOfResources):
            desk.promise(asked("1.2.1"), host="127.0.0.1", port=2762, called="CR1")
