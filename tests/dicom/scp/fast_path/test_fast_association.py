"""The fast path against the plain path: for the same bytes the same answers and the same files."""

import hashlib
import random
import socket
import struct
import time
from pathlib import Path

import psutil
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from dicom.parsing.header import check_identity, read_header
from dicom.pynetdicom_private import LIBRARY
from dicom.scp.fast_path.buffered_socket import BUFFER
from dicom.scp.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool

CR = STORAGE_CLASSES[0]
EXPLICIT = "1.2.840.10008.1.2.1"
STORE, ECHO = 0x0001, 0x0030
UID = "1.2.826.0.1.3680043.8.498.1"


class Keeper:
    """A StorageHandler that accepts everything."""

    def admit(self, association):
        """Admit it."""

    def unavailable(self, association):
        """Always ready."""

    def record(self, arrived):
        """Accept everything."""
        return [None for _ in arrived]

    def association_ended(self, association, outcome):
        """Do nothing."""


@pytest.fixture
def both(tmp_path):
    """Two SCPs, one on each receive path, with their spools."""
    servers = []
    for name in ("fast", "plain"):
        spool = Spool(tmp_path / name)
        settings = ScpSettings(
            ae_title="WETREAD", host="127.0.0.1", port=0, fast=name == "fast", idle_seconds=20
        )
        server = StorageSCP(settings, spool, Keeper())
        server.start()
        servers.append((server, spool))
    yield servers
    for server, _ in servers:
        server.stop(5)


def item(kind: int, body: bytes) -> bytes:
    """Return one item of an A-ASSOCIATE-RQ."""
    return struct.pack(">BxH", kind, len(body)) + body


def request(*syntaxes: str, storage_class: str = CR) -> bytes:
    """Return an A-ASSOCIATE-RQ for a class in each transfer syntax, and for verification."""
    body = struct.pack(">HH16s16s32x", 1, 0, b"WETREAD".ljust(16), b"MODALITY".ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, syntax in enumerate(syntaxes):
        names = item(0x30, storage_class.encode()) + item(0x40, syntax.encode())
        body += item(0x20, bytes([2 * number + 1, 0, 0, 0]) + names)
    names = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    body += item(0x20, bytes([255, 0, 0, 0]) + names)
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
    return pdu(1, body + item(0x50, user))


def pdu(kind: int, body: bytes) -> bytes:
    """Return one PDU."""
    return struct.pack(">BxL", kind, len(body)) + body


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """Return one presentation data value."""
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def command(field: int = STORE, uid: str = UID, message_id: int = 1, **extra: bytes) -> bytes:
    """Return the command set of a C-STORE-RQ or C-ECHO-RQ."""
    numbers = {0x0100: field, 0x0110: message_id, 0x0700: 2, 0x0800: 0}
    values = {number: struct.pack("<H", value) for number, value in numbers.items()}
    values |= {0x0002: CR.encode(), 0x1000: uid.encode()}
    if field == ECHO:
        del values[0x0700], values[0x1000]
        values |= {0x0002: b"1.2.840.10008.1.1", 0x0800: struct.pack("<H", 0x0101)}
    values |= {int(name[1:], 16): value for name, value in extra.items()}
    encoded = b""
    for number, value in sorted(values.items()):
        padded = value + b"\0" * (len(value) % 2)
        encoded += struct.pack("<HHL", 0, number, len(padded)) + padded
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def data_set(size: int, uid: str = UID, seed: int = 1) -> bytes:
    """Return an explicit VR little endian data set with pixels of so many random bytes."""

    def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        padded = value + b"\0" * (len(value) % 2)
        long = struct.pack("<2xL", len(padded)) if vr == b"OW" else struct.pack("<H", len(padded))
        return struct.pack("<HH2s", group, number, vr) + long + padded

    return b"".join(
        [
            element(0x0008, 0x0016, b"UI", CR.encode()),
            element(0x0008, 0x0018, b"UI", uid.encode()),
            element(0x0020, 0x000D, b"UI", b"1.2.3"),
            element(0x0020, 0x000E, b"UI", b"1.2.4"),
            element(0x7FE0, 0x0010, b"OW", random.Random(seed).randbytes(size)),
        ]
    )


def fragments(content: bytes, sizes: list[int], context: int = 1) -> list[bytes]:
    """Return the PDVs of a data set, cut into fragments of these sizes in turn."""
    cut, at, turn = [], 0, 0
    while at < len(content):
        size = sizes[turn % len(sizes)]
        last = at + size >= len(content)
        cut.append(pdv(context, 2 if last else 0, content[at : at + size]))
        at, turn = at + size, turn + 1
    return cut


def exchange(server, stream: bytes, *, responses: int, cut: int = 0) -> bytes:
    """Return everything the SCP sends.

    Args:
        server: The SCP.
        stream: An association request and what follows it when that was accepted.
        responses: After so many the association is released; with 0 the SCP is to end it.
        cut: Send in pieces of so many bytes.
    """
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = 6 + struct.unpack_from(">xxL", stream)[0]
        connection.sendall(stream[:end])
        answer = connection.recv(65536)
        rest = stream[end:]
        for start in range(0, len(rest), cut or len(rest)):
            connection.sendall(rest[start : start + (cut or len(rest))])
        while responses and len(statuses(answer)) < responses and (more := connection.recv(65536)):
            answer += more
        if responses:
            connection.sendall(pdu(5, bytes(4)))
        while piece := connection.recv(65536):
            answer += piece
        return answer


def files(spool: Spool) -> dict[str, str]:
    """Return the digests of the kept files by their names; whole files, file meta group included."""
    return {
        str(path.relative_to(spool.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in spool.root.rglob("*")
        if path.is_file() and path.parent.name != "locks"
    }


def compare(both, stream: bytes, *, responses: int, cut: int = 0) -> tuple[bytes, dict[str, str]]:
    """Send a stream to both and return what both answered and keep, which must be the same."""
    (fast_server, fast_spool), (plain_server, plain_spool) = both
    answers = [
        exchange(server, stream, responses=responses, cut=cut)
        for server in (fast_server, plain_server)
    ]
    assert answers[0] == answers[1]
    end = time.monotonic() + 5
    while time.monotonic() < end and any(
        [*(spool.root / "tmp").iterdir()] for spool in (fast_spool, plain_spool)
    ):
        time.sleep(0.01)  # the association ends a moment after its last byte
    assert files(fast_spool) == files(plain_spool)
    return answers[0], files(fast_spool)


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the responses in what the SCP sent."""
    marker = struct.pack("<HHL", 0, 0x0900, 2)
    found = []
    while (at := answer.find(marker)) >= 0:
        found.append(struct.unpack_from("<H", answer, at + 8)[0])
        answer = answer[at + 8 :]
    return found


def test_it_is_in_force_for_the_pynetdicom_that_is_installed():
    """The check admits the version that it was written for; a newer one must be examined."""
    assert LIBRARY.is_tested
    assert ScpSettings(ae_title="A", host="", port=0).is_fast
    assert not ScpSettings(ae_title="A", host="", port=0, fast=False).is_fast


@pytest.mark.parametrize(
    "sizes",
    [[100], [1, 2, 3, 500], [4084], [16_372], [131_060], [262_138], [70_000, 1, 200_000]],
    ids=str,
)
def test_every_size_of_fragments_gives_the_same_file(both, sizes):
    """One fragment in each PDU, small ones, odd ones, and as large as we allow."""
    content = data_set(max(sizes[0] * 7, 3000))
    stream = request(EXPLICIT) + pdu(4, pdv(1, 3, command()))
    stream += b"".join(pdu(4, each) for each in fragments(content, sizes))
    answer, kept = compare(both, stream, responses=1)
    assert statuses(answer) == [0x0000]
    assert len(kept) == 1


@pytest.mark.parametrize("cut", [7, 1000, 65_537])
def test_the_pieces_in_which_bytes_come_do_not_matter(both, cut):
    """The file is the same for every division of the stream by the network."""
    content = data_set(20_000)
    stream = request(EXPLICIT) + pdu(4, pdv(1, 3, command()))
    stream += b"".join(pdu(4, each) for each in fragments(content, [3000]))
    answer, _ = compare(both, stream, responses=1, cut=cut)
    assert statuses(answer) == [0x0000]


@pytest.mark.parametrize("seed", range(6))
def test_images_about_as_long_as_the_buffer_give_the_same_files(both, seed):
    """Two images one behind the other, each about as long, in fragments and pieces of any size."""
    chance = random.Random(seed)
    stream = request(EXPLICIT)
    for number in (1, 2):
        size = chance.randrange(BUFFER - 80_000, BUFFER + 80_000)
        sizes = [chance.randrange(1, 262_138) for _ in range(5)]
        content = data_set(size, uid=f"{UID}.{number}", seed=seed)
        stream += pdu(4, pdv(1, 3, command(uid=f"{UID}.{number}")))
        stream += b"".join(pdu(4, each) for each in fragments(content, sizes))
    answer, kept = compare(both, stream, responses=2, cut=chance.choice([0, 30_011, 400_000]))
    assert statuses(answer) == [0, 0]
    assert len(kept) == 2


def test_thousands_of_fragments_of_a_byte_give_the_same_file(both):
    """As many as the longest PDU holds, in each of two."""
    content = data_set(70_000)
    values = fragments(content, [1])
    stream = request(EXPLICIT) + pdu(4, pdv(1, 3, command()))
    stream += pdu(4, b"".join(values[:37_000])) + pdu(4, b"".join(values[37_000:]))
    answer, kept = compare(both, stream, responses=1)
    assert statuses(answer) == [0]
    assert len(kept) == 1


def test_several_values_in_one_pdu_and_a_command_cut_in_two(both):
    """Command and data in one PDU, two messages in one PDU, a command in two fragments."""
    content = data_set(5000)
    values = [pdv(1, 3, command()), *fragments(content, [900])]
    first, second = command()[:50], command(message_id=2)[50:]
    cut_command = [pdv(1, 1, command(message_id=2)[:50]), pdv(1, 3, second)]
    assert len(first) == 50
    stream = request(EXPLICIT) + pdu(4, b"".join(values + values))
    stream += b"".join(pdu(4, each) for each in cut_command + fragments(content, [2000]))
    stream += pdu(4, cut_command[0] + cut_command[1] + values[1]) + pdu(4, b"".join(values[2:]))
    answer, _ = compare(both, stream, responses=4)
    assert statuses(answer) == [0, 0, 0, 0]


def test_other_commands_between_images(both):
    """C-ECHO before, between and behind C-STORE, and an image of no bytes."""
    echo = pdu(4, pdv(255, 3, command(ECHO)))
    image = pdu(4, pdv(1, 3, command())) + b"".join(
        pdu(4, each) for each in fragments(data_set(2000), [1000])
    )
    empty = pdu(4, pdv(1, 3, command())) + pdu(4, pdv(1, 2, b""))
    stream = request(EXPLICIT) + echo + image + echo + empty + image + echo
    answer, _ = compare(both, stream, responses=6)
    assert statuses(answer) == [0, 0, 0, 0xC000, 0, 0]


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_transfer_syntax_gives_the_same_file(both, syntax):
    """The bytes are not looked at; the file meta group names what was negotiated."""
    stream = request(syntax) + pdu(4, pdv(1, 3, command()))
    stream += b"".join(pdu(4, each) for each in fragments(data_set(3000), [1400]))
    answer, kept = compare(both, stream, responses=1)
    # The data set is explicit little endian: under another negotiated syntax its header is unreadable.
    unreadable = syntax in {DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian}
    assert statuses(answer) == [0xC000 if unreadable else 0]
    assert len(kept) == (0 if unreadable else 1)


def test_every_real_image_gives_the_same_file(both, shared_data):
    """All images of real equipment in all their transfer syntaxes."""
    images = sorted((shared_data / "cxr-dicom").glob("*.dcm"))
    for image in images:
        header = read_header(image)
        identity = check_identity(header)
        if identity.sop_class_uid not in STORAGE_CLASSES:
            continue
        content = image.read_bytes()
        behind_meta = 144 + struct.unpack_from("<L", content, 140)[0]
        start = behind_meta if content[128:132] == b"DICM" else 0
        asked = request(
            str(header.file_meta.TransferSyntaxUID), storage_class=identity.sop_class_uid
        )
        elements = command(uid=identity.sop_instance_uid, x0002=identity.sop_class_uid.encode())
        stream = asked + pdu(4, pdv(1, 3, elements))
        stream += b"".join(pdu(4, each) for each in fragments(content[start:], [60_000]))
        answer, _ = compare(both, stream, responses=1)
        assert statuses(answer) == [0], image.name


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([pdv(1, 0, b"x" * 50), pdv(3, 0, b"y" * 50)], id="another context"),
        pytest.param([pdv(1, 0, b"x" * 50), pdv(1, 3, command())], id="a command between"),
        pytest.param([pdv(77, 3, command())], id="a command for a context never negotiated"),
        pytest.param([b"\0\0\0\1\1"], id="a value without control"),
        pytest.param([struct.pack(">LBB", 2**31, 1, 0) + b"z" * 60], id="a length that lies"),
    ],
)
def test_fragments_out_of_turn_end_the_association(both, broken):
    """Both paths abort, and nothing is left in the spool."""
    stream = request(EXPLICIT) + pdu(4, pdv(1, 3, command()))
    answer, kept = compare(both, stream + b"".join(pdu(4, each) for each in broken), responses=0)
    assert answer[-10:-6] == b"\x07\x00\x00\x00"
    assert kept == {}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(command(x1000=b"1.2.3/../../etc"), id="a path for a UID"),
        pytest.param(command(x1000=b"1" * 200), id="200 characters"),
        pytest.param(command(x0700=b"\x07\0"), id="a priority that is none"),
        pytest.param(command(x0002=b"1.2.3"), id="another class"),
        pytest.param(command()[:-3], id="cut short"),
    ],
)
def test_odd_commands_are_answered_by_pynetdicom_on_both_ways(both, odd):
    """The fast path leaves every other message than an ordinary C-STORE request to the plain path."""
    stream = request(EXPLICIT) + pdu(4, pdv(1, 3, odd))
    stream += b"".join(pdu(4, each) for each in fragments(data_set(500), [300]))
    answer, kept = compare(both, stream, responses=1)
    assert len(kept) == statuses(answer).count(0)


def test_an_image_much_larger_than_the_buffer_takes_no_memory(both):
    """60 MB pass through a buffer of less than one."""
    (server, spool), _ = both
    content = data_set(60 * 2**20)
    stream = request(EXPLICIT) + pdu(4, pdv(1, 3, command()))
    stream += b"".join(pdu(4, each) for each in fragments(content, [131_060]))
    before = psutil.Process().memory_info().rss
    answer = exchange(server, stream, responses=1)
    assert statuses(answer) == [0]
    (kept,) = [Path(spool.root / name) for name in files(spool)]
    assert kept.read_bytes().endswith(content)
    del stream
    assert psutil.Process().memory_info().rss - before < 80 * 2**20
