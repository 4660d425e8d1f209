"""What a sender gets when its Instance cannot be recorded."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom.errors import PROCESSING_FAILURE
from dicom.spool.ingest import IncomingAssociation, Received
from dicom.study import Instance
from service.database import schema
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.settings.config import Settings
from service.store import Store

CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
def reception(tmp_path):
    """A reception over a store of its own; the sender BAD meets a bug."""
    settings = Settings(data_dir=tmp_path)
    schema.upgrade(settings.database_url)
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
