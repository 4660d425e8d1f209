"""Associations and presentation contexts that are refused."""

import socket
import struct

import pytest

from dicom.scp.storage_handler import Refusal
from tests.dicom.scp.sending import (
    CR,
    EXPLICIT,
    associate,
    association_request,
    request_association,
    send_file,
)


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_refused_peer_gets_the_reason_of_the_standard(scp, handler, refusal):
    """The rejection carries result, source and reason of PS3.8 table 9-21."""
    handler.refuse = refusal
    assert request_association(scp, calling="STRANGER") == struct.pack(
        ">BxLxBBB", 3, 4, *refusal.value
    )
    assert handler.admitted[0].calling_ae == "STRANGER"
    assert handler.admitted[0].address == "127.0.0.1"


def test_a_refused_echoscu_states_why(scp, handler, dcmtk):
    """DCMTK prints the reason as text."""
    handler.refuse = Refusal.CALLING_AE_NOT_RECOGNIZED
    done = dcmtk("echoscu", "-v", "-aec", "WETREAD", "127.0.0.1", scp.port)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stderr + done.stdout


def test_a_handler_that_breaks_lets_no_request_in(scp, handler, monkeypatch):
    """A calling AE that cannot be checked is rejected as transient."""
    monkeypatch.setattr(handler, "admit", lambda _: 1 / 0)
    assert request_association(scp) == struct.pack(">BxLxBBB", 3, 4, *Refusal.NO_REASON_GIVEN.value)


@pytest.mark.parametrize(
    ("usable", "level"),
    [([CR], "DEBUG"), ([], "WARNING"), (["1.2.840.10008.1.1"], "WARNING")],
)
def test_many_refused_contexts_leave_one_line(scp, caplog, usable, level):
    """A sender that offers all its SOP Classes does not fill the log at each association.

    Where a context for objects is accepted the line is for debugging only.
    """
    caplog.set_level("DEBUG", "dicom")
    classes = [f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in range(70, 110)]
    link = associate(scp, *((each, EXPLICIT) for each in [*usable, *classes]))
    assert len(link.rejected_contexts) == len(classes)
    link.release() if link.is_established else link.abort()
    lines = [line for line in caplog.records if "context refused" in line.message]
    assert [line.levelname for line in lines] == [level]
    assert all(each in lines[0].message for each in classes[-10:])


def test_a_request_without_abstract_syntax_has_its_context_refused(
    scp, handler, small_image, caplog
):
    """Found by the fuzzer: pynetdicom raises on it; its context is answered as not supported."""
    request = association_request().replace(b"\x30\0\0\x19", b"\x40\0\0\x19", 1)
    with socket.create_connection(("127.0.0.1", scp.port), 10) as connection:
        connection.sendall(request)
        answer = connection.recv(4096)
    assert answer[:1] == b"\x02"
    assert b"\x21\0\0" in answer
    assert answer[answer.index(b"\x21\0\0") + 6] == 3  # abstract syntax not supported
    assert send_file(scp, small_image).Status == 0
    ours = [line.message for line in caplog.records if line.name.startswith("dicom.")]
    assert not [message for message in ours if "unexpected" in message]
    assert sum("presentation context refused" in message for message in ours) == 1
    assert len(handler.instances) == 1
