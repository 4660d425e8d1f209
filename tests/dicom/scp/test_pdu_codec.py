"""C-STORE commands and responses of the fast path, against pynetdicom's encoding of them."""

from io import BytesIO

import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode

from dicom.identifiers import derived_uid
from dicom.pynetdicom_private import C_STORE_RQ, C_STORE_RSP
from dicom.scp.pdu_codec import PDU, PDV, StoreCommand, read_command, response

IMAGE = derived_uid("command test", 1)


def command_set(**changed):
    """Return a C-STORE-RQ as pynetdicom makes it, as a data set."""
    request = C_STORE()
    request.MessageID = 513
    request.AffectedSOPClassUID = DigitalXRayImageStorageForPresentation
    request.AffectedSOPInstanceUID = IMAGE
    request.Priority = 2
    request.DataSet = BytesIO(b"\0\0")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    for keyword, value in changed.items():
        setattr(message.command_set, keyword, value)
    return message.command_set


def encoded(command) -> bytes:
    """Return the bytes of a command set: Implicit VR Little Endian (PS3.7 6.3.1)."""
    return encode(command, True, True)


def test_a_command_of_pynetdicom_is_read():
    """Message ID and both UIDs, without the padding of an odd length."""
    assert read_command(encoded(command_set())) == StoreCommand(
        message_id=513,
        class_uid=DigitalXRayImageStorageForPresentation,
        instance_uid=IMAGE,
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"CommandField": 0x0030},  # C-ECHO-RQ
        {"CommandDataSetType": 0x0101},  # no data set follows
        {"AffectedSOPInstanceUID": "1.2.a"},
        {"AffectedSOPInstanceUID": "1." + "2" * 64},
    ],
)
def test_another_or_malformed_command_is_left_to_the_plain_path(changed):
    """Only an ordinary C-STORE-RQ is read."""
    assert read_command(encoded(command_set(**changed))) is None


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_command_that_is_cut_off_is_none(cut):
    """Neither a cut header nor a cut value is read past its end."""
    assert read_command(encoded(command_set())[:-cut]) is None


@pytest.mark.parametrize(("status", "comment"), [(0, ""), (0xA700, "disk full"), (0xC000, "odd")])
def test_pynetdicom_reads_the_response(status, comment):
    """One P-DATA-TF PDU with one PDV: the lengths agree, and each element has its value."""
    command = StoreCommand(message_id=513, class_uid="1.2.3", instance_uid=IMAGE)
    sent = response(7, command, status, comment)
    kind, length = PDU.unpack_from(sent)
    item, context, control = PDV.unpack_from(sent, PDU.size)
    assert (kind, length, item) == (0x04, len(sent) - 6, len(sent) - 10)
    assert (context, control) == (7, 3)  # a command, its last fragment
    message = C_STORE_RSP()
    message.command_set = decode(BytesIO(sent[PDU.size + PDV.size :]), True, True)
    answer = message.command_set
    assert answer.CommandGroupLength == len(sent) - PDU.size - PDV.size - 12
    assert answer.CommandField == 0x8001
    assert answer.MessageIDBeingRespondedTo == 513
    assert (answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID) == ("1.2.3", IMAGE)
    assert (answer.Status, answer.get("ErrorComment", "")) == (status, comment)
