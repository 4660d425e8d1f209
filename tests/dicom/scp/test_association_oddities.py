"""Association requests and commands as odd peers send them, next to what DCMTK's storescp answers."""

import shutil
import socket
import struct
import subprocess
import time
from contextlib import closing

import pytest

from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.refusals import Cause
from dicom.scp.storage_handler import Refusal
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool

CR = b"1.2.840.10008.5.1.4.1.1.1"
VERIFICATION = b"1.2.840.10008.1.1"
IMPLICIT = b"1.2.840.10008.1.2"
CONTEXT_NAME = b"1.2.840.10008.3.1.1.1"
ACCEPTED, REJECTED, ABORTED = "accepted", "rejected", "aborted"


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Return one item; `length` overrides what it declares."""
    return struct.pack(">BxH", kind, len(body) if length is None else length) + body


def context(number: int, abstract: bytes = VERIFICATION, *syntaxes: bytes) -> bytes:
    """Return a presentation context item."""
    names = b"".join(item(0x40, name) for name in syntaxes or (IMPLICIT,))
    return item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract) + names)


MAXIMUM = item(0x51, struct.pack(">L", 16384))
CLASS = item(0x52, b"1.2.3.4")


def request(
    *,
    called: bytes = b"WETREAD",
    calling: bytes = b"MODALITY",
    version: int = 1,
    name: bytes | None = item(0x10, CONTEXT_NAME),
    contexts: bytes | None = None,
    user: bytes | None = None,
    more: bytes = b"",
    before: bytes = b"",
) -> bytes:
    """Return an A-ASSOCIATE-RQ of these parts."""
    body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), calling.ljust(16))
    body += before + (name or b"")
    body += context(1) if contexts is None else contexts
    body += item(0x50, MAXIMUM + CLASS) if user is None else user
    body += more
    return struct.pack(">BxL", 1, len(body)) + body


def identity(kind: int, reply: int = 0, name: bytes = b"me", second: bytes = b"") -> bytes:
    """Return a user identity sub-item."""
    fields = struct.pack(">H", len(name)) + name + struct.pack(">H", len(second)) + second
    return item(0x58, bytes([kind, reply]) + fields)


def user(*items: bytes) -> bytes:
    """Return a User Information item with the usual sub-items and these."""
    return item(0x50, MAXIMUM + CLASS + b"".join(items))


# The sent bytes, and Wetread's answer.
ODDITIES = {
    "plain": (request(), ACCEPTED),
    "called_null_padded": (request(called=b"WETREAD".ljust(16, b"\0")), ACCEPTED),
    "calling_null_padded": (request(calling=b"MODALITY".ljust(16, b"\0")), ACCEPTED),
    "called_null_then_garbage": (request(called=b"WETREAD\0\x07\xffgarba!!"), ACCEPTED),
    "calling_null_then_garbage": (request(calling=b"MODALITY\0\xfe\\x"), ACCEPTED),
    "called_leading_spaces": (request(called=b"  WETREAD"), ACCEPTED),
    "unknown_user_item_5A": (request(user=user(item(0x5A, b"whatever"))), ACCEPTED),
    "unknown_user_item_99": (request(user=user(item(0x99, b""))), ACCEPTED),
    "unknown_user_item_first": (request(user=item(0x50, item(0x99, b"x") + MAXIMUM)), ACCEPTED),
    "answer_item_59_in_a_request": (request(user=user(item(0x59, b"\0\0"))), ACCEPTED),
    "unknown_variable_item_77": (request(more=item(0x77, b"something")), ACCEPTED),
    "unknown_variable_item_first": (request(before=item(0x01, b"")), ACCEPTED),
    "unknown_item_in_a_context": (
        request(
            contexts=item(
                0x20,
                bytes([1, 0, 0, 0])
                + item(0x30, VERIFICATION)
                + item(0x41, b"x")
                + item(0x40, IMPLICIT),
            )
        ),
        ACCEPTED,
    ),
    "version_name_of_20": (request(user=user(item(0x55, b"A_VERY_LONG_NAME_1.0"))), ACCEPTED),
    "version_name_empty": (request(user=user(item(0x55, b""))), ACCEPTED),
    "version_name_latin_1": (request(user=user(item(0x55, b"M\xfcnchen\x07"))), ACCEPTED),
    "class_uid_of_text": (request(user=item(0x50, MAXIMUM + item(0x52, b"HOME MADE"))), ACCEPTED),
    "class_uid_empty": (request(user=item(0x50, MAXIMUM + item(0x52, b""))), ACCEPTED),
    "class_uid_null_padded": (
        request(user=item(0x50, MAXIMUM + item(0x52, b"1.2.3\0"))),
        ACCEPTED,
    ),
    "class_uid_missing": (request(user=item(0x50, MAXIMUM)), ACCEPTED),
    "identity_of_unknown_type": (request(user=user(identity(9))), ACCEPTED),
    "identity_of_type_0": (request(user=user(identity(0, 1))), ACCEPTED),
    "identity_with_wrong_lengths": (
        request(user=user(item(0x58, b"\1\0\0\x40me\0\0"))),
        ACCEPTED,
    ),
    "identity_twice": (request(user=user(identity(1), identity(1))), ACCEPTED),
    "identity_that_asks_for_an_answer": (request(user=user(identity(1, 1))), ACCEPTED),
    "role_of_2": (request(user=user(item(0x54, b"\0\x11" + VERIFICATION + b"\2\1"))), ACCEPTED),
    "role_of_nothing": (
        request(user=user(item(0x54, b"\0\x11" + VERIFICATION + b"\0\0"))),
        ACCEPTED,
    ),
    "role_with_a_wrong_length": (
        request(user=user(item(0x54, b"\0\x40" + VERIFICATION + b"\1\1"))),
        ACCEPTED,
    ),
    "extended_of_nothing": (request(user=user(item(0x56, b""))), ACCEPTED),
    "common_extended_of_nothing": (request(user=user(item(0x57, b""))), ACCEPTED),
    "window_of_two_bytes": (request(user=user(item(0x53, b"\0\1"))), ACCEPTED),
    "maximum_missing": (request(user=item(0x50, CLASS)), ACCEPTED),
    "maximum_twice": (
        request(user=user(item(0x51, struct.pack(">L", 4096)))),
        ACCEPTED,
    ),
    "maximum_of_two_bytes": (request(user=item(0x50, item(0x51, b"\x40\0") + CLASS)), ACCEPTED),
    "user_information_empty": (request(user=item(0x50, b"")), ACCEPTED),
    "user_information_missing": (request(user=b""), ACCEPTED),
    "user_information_twice": (request(more=item(0x50, MAXIMUM)), ACCEPTED),
    "version_bits_3": (request(version=3), ACCEPTED),
    "version_bits_8001": (request(version=0x8001), ACCEPTED),
    "version_bits_2": (request(version=2), (REJECTED, 1, 2, 2)),
    "version_0": (request(version=0), (REJECTED, 1, 2, 2)),
    "calling_blank": (request(calling=b""), (REJECTED, 1, 1, 3)),
    "calling_null": (request(calling=bytes(16)), (REJECTED, 1, 1, 3)),
    "called_blank": (request(called=b""), (REJECTED, 1, 1, 7)),
    "called_null": (request(called=bytes(16)), (REJECTED, 1, 1, 7)),
    "called_lower_case": (request(called=b"wetread"), (REJECTED, 1, 1, 7)),
    "called_of_17_bytes": (
        request(called=b"WETREAD_AND_MORE", calling=b"XMODALITY"),
        (REJECTED, 1, 1, 7),
    ),
    "calling_lower_case": (request(calling=b"modality"), (REJECTED, 1, 1, 3)),
    "calling_latin_1": (request(calling=b"M\xfcNCHEN"), (REJECTED, 1, 1, 3)),
    "calling_backslash": (request(calling=b"MODA\\LITY"), (REJECTED, 1, 1, 3)),
    "application_context_empty": (request(name=item(0x10, b"")), (REJECTED, 1, 1, 2)),
    "application_context_missing": (request(name=b""), (REJECTED, 1, 1, 2)),
    "application_context_other": (request(name=item(0x10, b"1.2.3")), (REJECTED, 1, 1, 2)),
    "application_context_null_padded": (
        request(name=item(0x10, CONTEXT_NAME + b"\0")),
        ACCEPTED,
    ),
    "context_id_even": (request(contexts=context(2)), ABORTED),
    "context_without_abstract_syntax": (
        request(contexts=item(0x20, bytes([1, 0, 0, 0]) + item(0x40, IMPLICIT))),
        ACCEPTED,
    ),
    "context_without_transfer_syntax": (
        request(contexts=item(0x20, bytes([1, 0, 0, 0]) + item(0x30, VERIFICATION))),
        ACCEPTED,
    ),
    "context_with_an_empty_syntax": (request(contexts=context(1, VERIFICATION, b"")), ACCEPTED),
    "context_with_text_for_syntax": (
        request(contexts=context(1, VERIFICATION, b"Implicit", IMPLICIT)),
        ACCEPTED,
    ),
    "contexts_missing": (request(contexts=b""), ACCEPTED),
    "context_too_short": (request(contexts=item(0x20, b"\1\0")), ABORTED),
    "truncated_sub_item": (
        request(user=item(0x50, MAXIMUM + item(0x52, b"1.2", length=40))),
        ABORTED,
    ),
    "truncated_sub_item_header": (request(user=item(0x50, MAXIMUM + b"\x52\0")), ABORTED),
    "truncated_user_information": (
        request(user=item(0x50, MAXIMUM + CLASS, length=500)),
        ABORTED,
    ),
    "truncated_syntax_in_a_context": (
        request(
            contexts=item(
                0x20, bytes([1, 0, 0, 0]) + item(0x30, VERIFICATION) + item(0x40, b"1.2", length=90)
            )
        ),
        ABORTED,
    ),
    "request_of_ten_bytes": (struct.pack(">BxL", 1, 10) + bytes(10), ABORTED),
    "data_before_the_request": (struct.pack(">BxL", 4, 6) + b"\0\0\0\2\1\3", ABORTED),
    "release_before_the_request": (struct.pack(">BxL", 5, 4) + bytes(4), ABORTED),
    "unknown_pdu": (struct.pack(">BxL", 0x42, 4) + bytes(4), ABORTED),
}

# No context of these is accepted, so no C-ECHO can follow.
NO_CONTEXT = {
    "context_without_abstract_syntax",
    "context_without_transfer_syntax",
    "context_with_an_empty_syntax",
    "contexts_missing",
}
# DCMTK's storescp accepts any AE title, and an even context ID.
STRICTER_THAN_DCMTK = {
    *("called_lower_case", "called_of_17_bytes", "calling_lower_case"),
    *("calling_latin_1", "calling_backslash", "context_id_even"),
}
CAUSE_OF = {
    (REJECTED, 1, 1, 2): Cause.APPLICATION_CONTEXT,
    (REJECTED, 1, 1, 3): Cause.CALLING_AE,
    (REJECTED, 1, 1, 7): Cause.CALLED_AE,
    (REJECTED, 1, 2, 2): Cause.PROTOCOL_VERSION,
}
ABORT_CAUSES = {Cause.INVALID_PDU, Cause.OUT_OF_TURN}


class Receptionist:
    """A StorageHandler that admits MODALITY calling WETREAD and accepts its objects."""

    def admit(self, association):
        """Check both titles."""
        if association.called_ae != "WETREAD":
            return Refusal.CALLED_AE_NOT_RECOGNIZED
        known = association.calling_ae == "MODALITY"
        return None if known else Refusal.CALLING_AE_NOT_RECOGNIZED

    def unavailable(self, association):
        """Always ready."""

    def record(self, arrived):
        """Accept everything."""
        return [None for _ in arrived]

    def association_ended(self, association, outcome):
        """Do nothing."""


class Service:
    """A running SCP and its reports."""

    def __init__(self, folder, *, fast: bool) -> None:
        self.reports = []
        settings = ScpSettings(
            ae_title="WETREAD", host="127.0.0.1", port=0, fast=fast, request_seconds=3
        )
        spool = Spool(folder)
        self.scp = StorageSCP(settings, spool, Receptionist(), report=self.reports.append)
        self.scp.start()

    def causes(self, count: int) -> list[Cause]:
        """Return the causes reported since the last call; wait a while for `count` of them."""
        end = time.monotonic() + 10
        while len(self.reports) < count and time.monotonic() < end:
            time.sleep(0.01)
        found = [each.cause for each in self.reports]
        self.reports.clear()
        return found


@pytest.fixture(scope="module", params=[True, False], ids=["fast", "plain"])
def service(request, tmp_path_factory):
    """An SCP on each of the two receive paths."""
    running = Service(tmp_path_factory.mktemp("spool") / "spool", fast=request.param)
    yield running
    running.scp.stop(2)


@pytest.fixture(scope="module")
def storescp(tmp_path_factory):
    """The port of DCMTK's storescp."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp is not installed")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("storescp")
    process = subprocess.Popen([program, "-od", str(folder), str(port)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    process.kill()
    process.wait()


def element(number: int, value: bytes) -> bytes:
    """Return one element of a command set."""
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(padded)) + padded


def message(elements: dict[int, bytes], number: int = 1) -> bytes:
    """Return a command as one P-DATA-TF."""
    encoded = b"".join(element(*each) for each in sorted(elements.items()))
    encoded = element(0, struct.pack("<L", len(encoded))) + encoded
    value = struct.pack(">LBB", len(encoded) + 2, number, 3) + encoded
    return struct.pack(">BxL", 4, len(value)) + value


ECHO = message({0x2: VERIFICATION, 0x100: b"\x30\0", 0x110: b"\1\0", 0x800: b"\1\1"})


def receive(connection: socket.socket) -> bytes:
    """Return one PDU, or b"" at the end of the connection."""
    head = connection.recv(6, socket.MSG_WAITALL)
    if len(head) < 6:
        return b""
    return head + connection.recv(struct.unpack(">xxL", head)[0], socket.MSG_WAITALL)


def answer_to(port: int, encoded: bytes, *, echo: bool = False):
    """Return the answer to a request; with `echo` a C-ECHO must be answered 0x0000, too."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        connection.sendall(encoded)
        answer = receive(connection)
        if answer[:1] == b"\2" and echo:
            connection.sendall(ECHO)
            response = receive(connection)
            assert response[-2:] == b"\0\0"
            assert b"\x00\x09\x02\0\0\0" in response
        if answer[:1] == b"\2":
            connection.sendall(struct.pack(">BxL", 5, 4) + bytes(4))
            receive(connection)
    kinds = {b"\2": ACCEPTED, b"\3": (REJECTED, *answer[7:10]), b"\7": ABORTED}
    return kinds.get(answer[:1], "no answer")


@pytest.mark.parametrize("name", ODDITIES)
def test_each_odd_request_has_its_answer_and_leaves_one_report(service, name, caplog):
    """Accepted ones serve a C-ECHO; every abort and rejection is logged and reported once."""
    encoded, expected = ODDITIES[name]
    caplog.set_level("INFO", "dicom")
    service.causes(0)
    answer = answer_to(service.scp.port, encoded, echo=name not in NO_CONTEXT)
    assert answer == expected
    if expected == ACCEPTED:
        refused_contexts = {Cause.SOP_CLASS, Cause.TRANSFER_SYNTAX}
        assert set(service.causes(0)) <= refused_contexts
        return
    (cause,) = service.causes(1)
    if expected == ABORTED:
        assert cause in ABORT_CAUSES
        lines = [each.message for each in caplog.records if each.name.startswith("dicom.")]
        assert sum("association aborted" in line for line in lines) == 1
    else:
        assert cause is CAUSE_OF[expected]


@pytest.mark.dcmtk
@pytest.mark.parametrize("name", [name for name in ODDITIES if name not in STRICTER_THAN_DCMTK])
def test_what_dcmtk_accepts_is_accepted(storescp, name):
    """Wetread's answer equals storescp's, if storescp answers at all."""
    with socket.create_connection(("127.0.0.1", storescp), 10) as connection:
        connection.settimeout(0.5)
        connection.sendall(ODDITIES[name][0])
        try:
            theirs = connection.recv(4096)
        except OSError:  # storescp waits for more, or resets
            theirs = b""
    kinds = {b"\2": ACCEPTED, b"\3": (REJECTED, *theirs[7:10]), b"\7": ABORTED}
    if theirs:
        assert ODDITIES[name][1] == kinds[theirs[:1]]


@pytest.mark.parametrize("priority", [3, 9, 0xFFFF])
@pytest.mark.parametrize("halves", [False, True])
def test_an_undefined_priority_is_treated_as_medium(service, priority, halves):
    """On both paths, also if the command comes in two fragments: as DCMTK, 0x0000."""
    uid = b"1.2.826.0.1.77"
    elements = {
        0x0002: CR,
        0x0100: b"\1\0",
        0x0110: b"\1\0",
        0x0700: struct.pack("<H", priority),
        0x0800: b"\0\0",
        0x1000: uid,
    }
    command = message(elements)
    if halves:
        encoded = command[12:]
        first = struct.pack(">LBB", 22, 1, 1) + encoded[:20]
        second = struct.pack(">LBB", len(encoded) - 18, 1, 3) + encoded[20:]
        command = struct.pack(">BxL", 4, len(first) + len(second)) + first + second
    names = ((0x0008, 0x0016, CR), (0x0008, 0x0018, uid), (0x0020, 0x000D, b"1.2.3"))
    data = b"".join(
        struct.pack("<HHL", group, number, len(value) + len(value) % 2)
        + value
        + b"\0" * (len(value) % 2)
        for group, number, value in (*names, (0x0020, 0x000E, b"1.2.4"))
    )
    value = struct.pack(">LBB", len(data) + 2, 1, 2) + data
    stream = command + struct.pack(">BxL", 4, len(value)) + value
    with socket.create_connection(("127.0.0.1", service.scp.port), 10) as connection:
        connection.settimeout(10)
        connection.sendall(request(contexts=context(1, CR, IMPLICIT)))
        assert receive(connection)[:1] == b"\2"
        connection.sendall(stream)
        response = receive(connection)
        assert response[:1] == b"\4"
        assert b"\x00\x00\x00\x09\x02\0\0\0\0\0" in response
        connection.sendall(struct.pack(">BxL", 5, 4) + bytes(4))
        receive(connection)


def test_a_refused_context_is_reported_with_its_class_and_reason(service, caplog):
    """Ultrasound is not received; for verification another syntax was needed."""
    ultrasound = b"1.2.840.10008.5.1.4.1.1.6.1"
    offered = context(1, ultrasound) + context(3, VERIFICATION, b"1.2.840.10008.1.2.4.50")
    service.causes(0)
    assert answer_to(service.scp.port, request(contexts=offered)) == ACCEPTED
    end = time.monotonic() + 10
    while len(service.reports) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    found = [(each.cause, each.sop_class_uid, each.calling_ae) for each in service.reports]
    service.reports.clear()
    assert found == [
        (Cause.SOP_CLASS, ultrasound.decode(), "MODALITY"),
        (Cause.TRANSFER_SYNTAX, VERIFICATION.decode(), "MODALITY"),
    ]
    assert "Ultrasound Image Storage: SOP Class not accepted" in caplog.text


def test_a_peer_that_breaks_off_is_reported_once(service, caplog):
    """Without a request, in the middle of one, and after its association was accepted."""
    caplog.set_level("INFO", "dicom")
    encoded = request()
    for sent in (encoded[:3], encoded[:60], encoded):
        with socket.create_connection(("127.0.0.1", service.scp.port), 10) as connection:
            connection.sendall(sent)
            if sent is encoded:
                receive(connection)
        (cause,) = service.causes(1)
        assert cause in {Cause.NO_REQUEST, Cause.CONNECTION_BROKEN}
    assert caplog.text.count("association ended") == 3
