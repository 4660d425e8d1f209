"""Storage commitment on the association that asks for it."""

from queue import Queue

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from dicom.scu.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from tests.dicom.scp.sending import CR


def ask_commitment(scp, information, *, action=1):
    """Return the N-ACTION's status, and the report on the same association: type and content."""
    reported: Queue = Queue()

    def hear(event):
        reported.put((event.event_type, event.event_information))
        return 0x0000, None

    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(PUSH_MODEL)
    link = entity.associate(
        "127.0.0.1",
        scp.port,
        ae_title="WETREAD",
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)],
    )
    status, _ = link.send_n_action(information, action, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    report = reported.get(timeout=10) if status.Status == 0 else None
    link.release()
    return status.Status, report


def commitment_of(*uids: str) -> Dataset:
    """Return the action information for these instances."""
    information = Dataset()
    information.TransactionUID = "1.2.3.99"
    information.ReferencedSOPSequence = [Dataset() for _ in uids]
    for item, uid in zip(information.ReferencedSOPSequence, uids, strict=True):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CR, uid
    return information


def test_storage_commitment_is_reported_on_the_association_that_asked(scp, handler):
    """Event type 1 if all instances are stored; else type 2 with the failure reason."""
    status, (kind, report) = ask_commitment(scp, commitment_of("1.2.3", "1.2.4"))
    assert (status, kind) == (0x0000, 1)
    assert report.TransactionUID == "1.2.3.99"
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [
        "1.2.3",
        "1.2.4",
    ]
    status, (kind, report) = ask_commitment(scp, commitment_of("1.2.3", "1.2.9.1"))
    assert (status, kind) == (0x0000, 2)
    assert len(report.ReferencedSOPSequence) == 1
    (failed,) = report.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.9.1", 0x0112)
    assert len(handler.asked) == 2


def test_commitment_is_reported_once_the_answer_is_known(scp, handler):
    """A database that is away for a moment is no failure for the peer."""
    handler.unknown = 2
    status, (kind, _) = ask_commitment(scp, commitment_of("1.2.3"))
    assert (status, kind, handler.unknown) == (0x0000, 1, 0)


def test_a_commitment_request_that_makes_no_sense_is_refused(scp):
    """Nothing referenced, another action: a failure status, no report."""
    assert ask_commitment(scp, commitment_of())[0] == 0x0110
    assert ask_commitment(scp, commitment_of("1.2.3"), action=2)[0] == 0x0123


def test_a_thousand_instances_can_be_asked_for(scp):
    """A request of a morning's images fits."""
    uids = [f"1.2.3.{number}" for number in range(1000)]
    _, (kind, report) = ask_commitment(scp, commitment_of(*uids))
    assert kind == 1
    assert len(report.ReferencedSOPSequence) == 1000
