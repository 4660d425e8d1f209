"""Which associations are admitted, and what a sender gets if its Instance cannot be recorded."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom.errors import PROCESSING_FAILURE, OutOfResources
from dicom.parsing.header import check_identity, read_header
from dicom.scp.association_request import BLANK_TITLE
from dicom.scp.storage_handler import Refusal
from dicom.selection.local_files import describe
from dicom.spool.ingest import IncomingAssociation, Received
from dicom.study import Instance
from service.database import schema
from service.monitoring.heartbeat import Probe
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.settings.config import Settings
from service.store import Store
from tests.databases import make_database
from tests.service.receiver.callers import peer

CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
def reception(tmp_path):
    """A storage service with a store of its own; the sender BAD triggers a bug."""
    settings = Settings(data_dir=tmp_path)
    make_database(settings.database_url)
    store = Store(settings.database_url)

    def callers(calling_ae):
        if calling_ae == "BAD":
            raise TypeError("bug")

    intake = Intake(store, settings, lambda *_: None, callers)
    yield StorageService(settings, store, intake, Commitments(settings, store), callers=callers)
    store.close()


def received(number: int, calling_ae: str) -> Received:
    """Return an Instance that is in the spool."""
    header = Dataset()
    header.SOPClassUID = CR
    instance = Instance(
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid=CR,
        series_instance_uid="1.2.2",
        study_instance_uid="1.2.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{number}"),
        digest="a" * 64,
        size=1,
    )
    association = IncomingAssociation(
        id=str(number), calling_ae=calling_ae, called_ae="WETREAD", address="127.0.0.1"
    )
    return Received(instance=instance, header=header, association=association)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bug_about_one_instance_fails_no_other_of_its_batch(reception, place):
    """Each sender gets its own answer: Success, or the status of an error in this program."""
    callers = ["GOOD", "GOOD", "GOOD"]
    callers[place] = "BAD"
    batch = [received(number, caller) for number, caller in enumerate(callers)]
    answers = reception.record(batch)
    assert [answer and answer.status for answer in answers] == [
        PROCESSING_FAILURE if caller == "BAD" else None for caller in callers
    ]
    kept = {each.sop_instance_uid for each in reception._store.instances("1.2.1")}
    assert kept == {
        each.instance.sop_instance_uid for each in batch if each.association.calling_ae == "GOOD"
    }
    assert reception.is_ready


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
def test_only_known_callers_at_their_address_who_call_us_come_in(service_for, changes, verdict):
    """Calling AE, called AE and address are each checked, and each refusal has its reason."""
    assert service_for().admit(peer(**changes)) is verdict


def test_an_open_receiver_admits_any_valid_ae_title(service_for):
    """A closed test network may do without a list, but not without an AE title."""
    receiver = service_for(open=True)
    assert receiver.admit(peer(calling_ae="STRANGER")) is None
    assert receiver.admit(peer(calling_ae="")) is Refusal.CALLING_AE_NOT_RECOGNIZED


def test_a_blank_title_is_refused_unless_the_receiver_is_open(service_for):
    """The incident names the value that a blank title has in the request."""
    receiver = service_for()
    assert receiver.admit(peer(calling_ae=BLANK_TITLE)) is Refusal.CALLING_AE_NOT_RECOGNIZED
    assert "the calling AE title is blank" in receiver._store.incidents()[0].detail
    assert service_for(open=True).admit(peer(calling_ae=BLANK_TITLE)) is None


def test_a_refusal_is_one_incident_however_often_it_tries(service_for):
    """The page shows the refused AE and the reason once, not for each attempt."""
    receiver = service_for()
    for _ in range(5):
        receiver.admit(peer(calling_ae="STRANGER"))
    receiver.admit(peer(called_ae="OTHER"))
    incidents = receiver._store.incidents()
    assert [incident.subject for incident in incidents] == [
        "CR1 at 127.0.0.1",
        "STRANGER at 127.0.0.1",
    ]
    assert "receiver.callers" in incidents[1].detail


def test_a_flood_of_names_writes_no_flood_of_incidents(service_for, monkeypatch):
    """Attempts with thousands of AE titles cannot fill the database."""
    monkeypatch.setattr("service.receiver.storage_service._REMEMBERED", 10)
    receiver = service_for()
    for number in range(50):
        receiver.admit(peer(calling_ae=f"GUESS{number}"))
    assert len(receiver._store.incidents()) == 10


def test_without_its_table_the_sender_gets_out_of_resources(service_for, shared_data):
    """A database that fails is 0xA700: the modality keeps its image and tries again."""
    receiver = service_for()
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


def test_while_the_database_is_away_images_are_refused_at_their_command(service_for, shared_data):
    """0xA700 from the first failure on, and Success again once the database answers."""
    receiver = service_for(callers=({"ae_title": "CR1", "films_per_minute": 2},))
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
