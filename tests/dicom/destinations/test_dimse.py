"""C-STORE and C-FIND destinations."""

import contextlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pynetdicom import AE, evt

from dicom.errors import (
    DestinationRejected,
    DestinationUnavailable,
)
from dicom.scu.association import Peer, associate, established
from dicom.scu.store_scu import VERIFICATION
from tests.dicom.destinations.sending import dimse_destination

FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@contextlib.contextmanager
def _scp(
    *, store=lambda _: 0x0000, find=None, classes=(BasicTextSRStorage, SecondaryCaptureImageStorage)
):
    """A PACS of pynetdicom with configurable answers to C-STORE and C-FIND."""
    entity = AE(ae_title="ORTHANC")
    for sop_class in classes:
        entity.add_supported_context(sop_class)
    handlers = [(evt.EVT_C_STORE, store)]
    if find is not None:
        entity.add_supported_context(FIND)
        handlers.append((evt.EVT_C_FIND, find))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0x0000, None),
        (0xB000, None),
        (0xB006, None),
        (0xB007, None),
        (0x0111, None),
        (0x0110, DestinationUnavailable),
        (0xA700, DestinationUnavailable),
        (0xA7FF, DestinationUnavailable),
        (0xA900, DestinationRejected),
        (0xC000, DestinationRejected),
        (0x0122, DestinationRejected),
        (0x0124, DestinationRejected),
    ],
)
def test_a_store_status_decides_whether_it_may_pass(objects, status, error):
    """Each status of a C-STORE-RSP counts as stored, temporary or permanent failure."""
    with (
        _scp(store=lambda _: status) as port,
        pytest.raises(error, match=f"0x{status:04X}") if error else contextlib.nullcontext(),
    ):
        dimse_destination(port).send(objects)


def test_a_pacs_that_forgets_is_asked_again(objects):
    """C-STORE success and an empty C-FIND is unavailable: the objects are sent again."""
    with _scp(find=lambda _: iter([])) as port:
        destination = dimse_destination(port)
        destination.send(objects)
        with pytest.raises(DestinationUnavailable, match=r"acknowledged.*2 of 2"):
            destination.verify(objects)


def test_a_find_that_fails_is_not_taken_for_found(objects):
    """A failure status of C-FIND is unavailable, a refusal of the query is a rejection."""
    for status, error in ((0xC001, DestinationUnavailable), (0xA900, DestinationRejected)):
        with (
            _scp(find=lambda _, status=status: iter([(status, None)])) as port,
            pytest.raises(error, match=f"0x{status:04X}"),
        ):
            dimse_destination(port).verify(objects)


def test_a_pacs_that_answers_another_instance_is_not_believed(objects):
    """A C-FIND response that ignores the key and lists other objects is no proof."""

    def other(_event):
        answer = Dataset()
        answer.QueryRetrieveLevel = "IMAGE"
        answer.SOPInstanceUID = generate_uid()
        yield 0xFF00, answer

    with _scp(find=other) as port, pytest.raises(DestinationUnavailable, match="does not list"):
        dimse_destination(port).verify(objects)


def test_a_pacs_that_lists_everything_is_reported(objects):
    """A C-FIND that ignores the UIDs and lists without end does not block the sender for ever."""

    def everything(_event):
        answer = Dataset()
        answer.QueryRetrieveLevel = "IMAGE"
        answer.SOPInstanceUID = "1.2.3"
        while True:
            yield 0xFF00, answer

    with (
        _scp(find=everything) as port,
        pytest.raises(DestinationRejected, match="ignores the UIDs"),
    ):
        dimse_destination(port).verify(objects)


def _met(association, peer, meet):
    """Run `meet` at the moment of sending; return the error that the sender gets."""
    try:
        with established(association, peer):
            meet()
    except (DestinationUnavailable, RuntimeError) as error:
        return error


def test_an_association_that_ends_under_a_sender_may_pass(orthanc):
    """A peer may abort between our check and our message; other errors are not changed."""

    def fault():
        raise RuntimeError("other")

    def aborted():
        association.abort()
        association.send_c_echo()

    peer = Peer(name="pacs", host="127.0.0.1", port=orthanc.dicom_port, called="ORTHANC")
    with associate(peer, [(VERIFICATION, ImplicitVRLittleEndian)]) as association:
        assert str(_met(association, peer, fault)) == "other"
        assert isinstance(_met(association, peer, aborted), DestinationUnavailable)
        assert isinstance(_met(association, peer, fault), DestinationUnavailable)


def test_a_pacs_without_query_needs_verify_off(objects):
    """If C-FIND is refused the message names the setting, and the setting works."""
    with _scp() as port:
        with pytest.raises(DestinationRejected, match="verify = false"):
            dimse_destination(port).verify(objects)
        dimse_destination(port, verify=False).verify(objects)


def test_a_pacs_that_takes_no_reports_is_reported(objects):
    """A rejected presentation context names the SOP class that must be allowed."""
    with (
        _scp(classes=(SecondaryCaptureImageStorage,)) as port,
        pytest.raises(DestinationRejected, match="Basic Text SR"),
    ):
        dimse_destination(port).send(objects)


def test_a_pacs_that_knows_us_not_is_reported(orthanc, objects):
    """A rejected association names both AE titles."""
    with pytest.raises(DestinationRejected, match=r"NOBODY.*calling is WETREAD"):
        dimse_destination(orthanc.dicom_port, called="NOBODY").send(objects)
