import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from queue import Queue

import pytest
from blake3 import blake3
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, evt
from pynetdicom.dimse_primitives import C_STORE

from dicom.errors import DicomError, OutOfResources
from dicom.parsing.header import check_identity, read_header
from dicom.pynetdicom_private import C_STORE_RQ
from dicom.scp.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, ScpSettings
from dicom.scp.storage_handler import Refusal
from dicom.scp.storage_scp import StorageSCP
from dicom.scu.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from dicom.spool.spool import Spool

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CR = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"


class Recorder:
    """A StorageHandler that remembers what it was told."""

    def __init__(self) -> None:
        self.refuse: Refusal | None = None
        self.fault: BaseException | None = None
        self.admitted = []
        self.instances = []
        self.asked = []
        self.busy = None
        self.unknown = 0
        self.ends = []
        self.wait = threading.Event()
        self.wait.set()

    def admit(self, association):
        """Give the verdict that the test wants."""
        self.admitted.append(association)
        return self.refuse

    def unavailable(self, association):
        """Say so when the test wants."""
        assert association in self.admitted
        return self.busy

    def record(self, arrived):
        """Look at the images, wait or fail as the test wants."""
        for each in arrived:
            assert each.association in self.admitted
            assert each.instance.path.is_file()
            assert each.header.SOPInstanceUID == each.instance.sop_instance_uid
        self.wait.wait(20)
        if isinstance(self.fault, DicomError):
            return [self.fault for _ in arrived]
        if self.fault:
            raise self.fault
        self.instances += [each.instance for each in arrived]
        return [None for _ in arrived]

    def accept_commitment(self, request, association):
        """Report on the same association."""
        assert association in self.admitted
        self.asked.append(request)
        return False

    def commitment_failures(self, request):
        """Nothing of what begins with 1.2.9 is here; now and then that is not known."""
        if self.unknown:
            self.unknown -= 1
            raise OutOfResources("the database is away")
        uids = [each.sop_instance_uid for each in request.references]
        return {uid: 0x0112 for uid in uids if uid.startswith("1.2.9")}

    def association_ended(self, association, outcome):
        """Remember how it ended."""
        self.ends.append((association.id, outcome))


@pytest.fixture
def spool(tmp_path):
    """An empty spool."""
    return Spool(tmp_path / "spool", max_object_bytes=64 * 2**20)


@pytest.fixture
def handler():
    """A handler that accepts everything."""
    return Recorder()


@pytest.fixture(params=["fast", "plain"])
def scp(request, spool, handler):
    """A running SCP on a free port, on each of the two ways of receiving."""
    server = StorageSCP(
        ScpSettings(
            ae_title="WETREAD",
            host="127.0.0.1",
            port=0,
            storage_classes=(SECONDARY_CAPTURE,),
            max_associations=64,
            fast=request.param == "fast",
        ),
        spool,
        handler,
    )
    server.start()
    yield server
    server.stop(5)


def files(spool: Spool) -> list[Path]:
    """Return what lies in the spool, its lock files left out."""
    found = (path for path in spool.root.rglob("*") if path.is_file())
    return [path for path in found if path.parent.name != "locks"]


def dataset_bytes(path: Path) -> bytes:
    """Return a file's bytes behind its file meta group; all of them when it has none."""
    content = path.read_bytes()
    if content[128:132] != b"DICM" or len(content) < 144:
        return content or b"\0\0"  # a data set of no bytes cannot be sent
    (length,) = struct.unpack_from("<L", content, 140)
    return content[144 + length :]


def associate(scp, *contexts, calling="MODALITY", called="WETREAD"):
    """Return an association with the SCP, established or not."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    proposed = [build_context(abstract, [transfer]) for abstract, transfer in contexts]
    link = entity.associate("127.0.0.1", scp.port, contexts=proposed, ae_title=called)
    if link.is_established:
        link.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def started(spool, handler, **settings):
    """Return an SCP that listens, with these settings besides the defaults."""
    server = StorageSCP(
        ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0, **settings), spool, handler
    )
    server.start()
    return server


def knock(scp, *, calling="MODALITY", called="WETREAD") -> bytes:
    """Return what the SCP answers to an association request; pynetdicom misses a fast rejection."""
    with socket.create_connection(("127.0.0.1", scp.port), 10) as connection:
        connection.sendall(association_request(calling, called))
        return connection.recv(4096)


def association_request(calling="MODALITY", called="WETREAD") -> bytes:
    """Return an A-ASSOCIATE-RQ for CR."""

    def item(kind: int, body: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(body)) + body

    context = bytes([1, 0, 0, 0]) + item(0x30, CR.encode()) + item(0x40, EXPLICIT.encode())
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxL", 1, len(body)) + body


def send_raw(association, content: bytes, *, sop_class: str, uid: str, syntax: str):
    """Send data set bytes as they are and return the response's status."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(sop_class)
    request.AffectedSOPInstanceUID = UID(uid)
    request.Priority = 2
    request.DataSet = BytesIO(content)
    context = next(
        each
        for each in association.accepted_contexts
        if (each.abstract_syntax, each.transfer_syntax[0]) == (sop_class, syntax)
    )
    answers: Queue = Queue()
    # Not get_msg(): the association's own thread sometimes takes the response first.
    heard = (evt.EVT_DIMSE_RECV, lambda event: answers.put(event.message.command_set))
    association.bind(*heard)
    try:
        association.dimse.send_msg(request, context.context_id)
        return answers.get(timeout=20)
    finally:
        association.unbind(*heard)


def send_file(scp, path: Path, content: bytes | None = None, **association):
    """Send an image's data set (or other bytes in its place) over an association of its own."""
    header = read_header(path)
    identity = check_identity(header)
    syntax = str(header.file_meta.TransferSyntaxUID)
    link = associate(scp, (identity.sop_class_uid, syntax), **association)
    assert link.is_established
    response = send_raw(
        link,
        dataset_bytes(path) if content is None else content,
        sop_class=identity.sop_class_uid,
        uid=identity.sop_instance_uid,
        syntax=syntax,
    )
    link.release()
    return response


@pytest.fixture
def small_image(shared_data):
    """An image of 0.4 MB."""
    return shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"


def test_each_image_is_stored_as_it_was_sent(scp, handler, shared_data):
    """In every transfer syntax, what lies in the spool is what the modality sent, byte for byte."""
    images = sorted((shared_data / "cxr-dicom").glob("*.dcm"))
    for image in images:
        assert send_file(scp, image).Status == 0x0000, image.name
        kept = handler.instances[-1]
        assert dataset_bytes(kept.path) == dataset_bytes(image), image.name
        assert kept.digest == blake3(dataset_bytes(image)).hexdigest(length=28)
        assert kept.transfer_syntax_uid == read_header(image).file_meta.TransferSyntaxUID
        assert read_header(kept.path).file_meta.TransferSyntaxUID == kept.transfer_syntax_uid
    assert len(handler.instances) == len(images) >= 19


def test_dcmtk_sends_a_folder_and_gets_success(scp, handler, dcmtk, shared_data, eventually):
    """DCMTK's dcmsend gets Success for each image that it can read, over one association."""
    folder = shared_data / "cxr-dicom"
    sent = dcmtk(
        "dcmsend", "-v", "-aec", "WETREAD", "--no-halt", "+sd", "127.0.0.1", scp.port, folder
    )
    assert "with status SUCCESS  : 19" in sent.stderr
    assert len(handler.instances) == 19
    eventually(lambda: handler.ends, seconds=5, what="the end of the association")
    assert [outcome for _, outcome in handler.ends] == ["released"]


def test_an_image_keeps_its_compression_where_plain_is_proposed_too(
    scp, handler, dcmtk, shared_data
):
    """A lossless image is taken as it is, although its sender offers to decode it first."""
    for name, syntax in [("rle-lossless", "1.2.5"), ("jpeg-lossless-sv1", "1.2.4.70")]:
        image = shared_data / f"cxr-dicom/barre_cxr_{name}.dcm"
        dcmtk("dcmsend", "-aec", "WETREAD", "127.0.0.1", scp.port, image)
        assert handler.instances[-1].transfer_syntax_uid == f"1.2.840.10008.{syntax}"


def test_storescu_and_echoscu_are_served(scp, handler, dcmtk, small_image):
    """The plainest of modalities gets its answers."""
    assert dcmtk("echoscu", "-aec", "WETREAD", "127.0.0.1", scp.port).returncode == 0
    stored = dcmtk("storescu", "-aec", "WETREAD", "127.0.0.1", scp.port, small_image)
    assert stored.returncode == 0, stored.stderr
    assert len(handler.instances) == 1


def test_the_same_image_twice_is_one_file_and_two_successes(scp, handler, spool, small_image):
    """A modality that sends again is answered again; the disk holds the image once."""
    assert [send_file(scp, small_image).Status for _ in range(2)] == [0, 0]
    assert len(handler.instances) == 2
    assert len(files(spool)) == 1


def test_the_same_uid_with_other_bytes_lies_beside_the_first(scp, handler, spool, small_image):
    """Neither image replaces the other; the handler is informed of both."""
    content = dataset_bytes(small_image)
    send_file(scp, small_image)
    assert send_file(scp, small_image, content[:-2] + b"\x01\x01").Status == 0
    assert len({instance.path for instance in handler.instances}) == 2
    assert len(files(spool)) == 2


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_refused_peer_gets_the_reason_of_the_standard(scp, handler, refusal):
    """The rejection carries result, source and reason of PS3.8 table 9-21."""
    handler.refuse = refusal
    assert knock(scp, calling="STRANGER") == struct.pack(">BxLxBBB", 3, 4, *refusal.value)
    assert handler.admitted[0].calling_ae == "STRANGER"
    assert handler.admitted[0].address == "127.0.0.1"


def test_a_refused_echoscu_states_why(scp, handler, dcmtk):
    """DCMTK shows its user the reason as text."""
    handler.refuse = Refusal.CALLING_AE_NOT_RECOGNIZED
    done = dcmtk("echoscu", "-v", "-aec", "WETREAD", "127.0.0.1", scp.port)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stderr + done.stdout


def test_a_handler_that_breaks_lets_no_request_in(scp, handler, monkeypatch):
    """Who cannot be checked is turned away for now."""
    monkeypatch.setattr(handler, "admit", lambda _: 1 / 0)
    assert knock(scp) == struct.pack(">BxLxBBB", 3, 4, *Refusal.NO_REASON_GIVEN.value)


@pytest.mark.parametrize(
    ("fault", "status", "comment"),
    [
        (OutOfResources("the database is away"), 0xA700, "the database is away"),
        (DicomError("a sentence" + "!" * 200 + "\\"), 0xC000, "a sentence" + "!" * 54),
        (RuntimeError("words with a patient's name"), 0x0110, "internal error"),
    ],
)
def test_an_image_that_is_not_recorded_is_not_kept(
    scp, handler, spool, small_image, fault, status, comment
):
    """When the handler fails the sender gets the status, and nothing lies in the spool."""
    handler.fault = fault
    response = send_file(scp, small_image)
    assert response.Status == status
    assert response.ErrorComment == comment
    assert files(spool) == []
    handler.fault = None
    assert send_file(scp, small_image).Status == 0


def test_a_request_at_a_bad_time_is_refused_and_nothing_is_written(
    scp, handler, spool, small_image
):
    """While the service cannot record, 0xA700 is decided at the command; it passes by itself."""
    handler.busy = OutOfResources("the database is away")
    response = send_file(scp, small_image)
    assert (response.Status, response.ErrorComment) == (0xA700, "the database is away")
    assert files(spool) == []
    handler.busy = None
    assert send_file(scp, small_image).Status == 0


def test_a_failed_second_store_leaves_the_acknowledged_first(scp, handler, spool, small_image):
    """An image for which Success was said stays, whatever happens to its repetition."""
    assert send_file(scp, small_image).Status == 0
    handler.fault = OutOfResources("the database is away")
    assert send_file(scp, small_image).Status == 0xA700
    assert len(files(spool)) == 1


def test_success_is_reported_after_the_handler_and_not_before(scp, handler, small_image):
    """While the row is not committed the modality waits."""
    handler.wait.clear()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(send_file, scp, small_image)
        time.sleep(0.5)
        assert not answer.done()
        handler.wait.set()
        assert answer.result(20).Status == 0


def test_a_command_that_announces_another_instance_is_a_mismatch(scp, spool, small_image):
    """The data set decides what an image is; a command that says otherwise is answered 0xA900."""
    link = associate(scp, (CR, EXPLICIT))
    response = send_raw(
        link, dataset_bytes(small_image), sop_class=CR, uid="1.2.3.4", syntax=EXPLICIT
    )
    link.release()
    assert response.Status == 0xA900
    assert "SOP Instance UID" in response.ErrorComment
    assert files(spool) == []


UIDS = (0x00080018, 0x0020000D, 0x0020000E)


def with_uids(path: Path, uids: dict[int, bytes]) -> bytes:
    """Return an image's data set in explicit VR little endian with these bytes as its UIDs."""
    content = dataset_bytes(path)
    for tag, uid in uids.items():
        start = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, b"UI")
        at = content.index(start)
        (length,) = struct.unpack_from("<H", content, at + 6)
        value = struct.pack("<H", len(uid)) + uid
        content = content[: at + 6] + value + content[at + 8 + length :]
    return content


@pytest.mark.parametrize("tag", UIDS)
@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"1.3.12.2.1107.5.3.007.20240101\0\0", 0x0000),
        (b"01.3.000.2024.00\0\0", 0x0000),
        (b"1.3.12.2.1107.5 ", 0x0000),
        (b"1.3.12.2.1107\0ab", 0x0000),
        (b"1.3.12.2.1107\0\0\0", 0x0000),
        (b"1.3..2.1107.5.3\0", 0xA900),
        (b"1.3.a2.1107.5.3\0", 0xA900),
        (b"1" * 16, 0xA900),
        (b"1.2" + b"3" * 62 + b"\0", 0xA900),
        (b"\0" + b"1.3.12.2.11 ", 0xA900),
    ],
)
def test_a_uid_is_kept_as_archives_read_it_or_refused(
    scp, handler, small_image, tag, value, status
):
    """Leading zeros stay, what follows a NUL is cut, anything else that is no UID is refused."""
    uid = value.partition(b"\0")[0].rstrip(b" ").decode()
    sop = str(read_header(small_image).SOPInstanceUID)
    if tag == UIDS[0]:
        sop = value.rstrip(b"\0 ").decode() if len(value) < 65 else "1.2.3"
    link = associate(scp, (CR, EXPLICIT))
    content = with_uids(small_image, {tag: value})
    response = send_raw(link, content, sop_class=CR, uid=sop, syntax=EXPLICIT)
    link.release()
    assert response.Status == status, response
    kept = {
        each
        for image in handler.instances
        for each in (image.sop_instance_uid, image.study_instance_uid, image.series_instance_uid)
    }
    assert (uid in kept) == (status == 0)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("no_sopinstanceuid", 0xA900),
        ("no_studyinstanceuid", 0xA900),
        ("element_one_byte_short", 0xC000),
        ("png_named_dcm", 0xC000),
        ("zero_bytes", 0xC000),
        ("truncated_half_file", 0x0000),
        ("rows_cols_65535_bomb", 0x0000),
        ("no_pixeldata", 0x0000),
    ],
)
def test_a_malformed_image_is_answered_by_its_fault(scp, spool, shared_data, name, status):
    """An image that cannot be placed or parsed is refused; one that only cannot be read is kept."""
    path = shared_data / f"edge-cases/cxr-malformed/{name}.dcm"
    link = associate(scp, (CR, EXPLICIT))
    response = send_raw(
        link,
        dataset_bytes(path),
        sop_class=CR,
        uid=_uid_in(path),
        syntax=EXPLICIT,
    )
    link.release()
    assert response.Status == status, response
    assert len(files(spool)) == (status == 0)


def _uid_in(path: Path) -> str:
    try:
        return str(read_header(path).get("SOPInstanceUID", "1.2.3"))
    except DicomError:
        return "1.2.3"


def test_every_edge_case_is_answered_and_the_next_image_is_stored(scp, spool, shared_data):
    """All odd files, sent raw one after another: each gets a status, no thread or file is left."""
    paths = sorted(path for path in (shared_data / "edge-cases").rglob("*") if path.is_file())
    link = associate(scp, (CR, EXPLICIT), (CR, "1.2.840.10008.1.2"))
    for path in paths:
        for syntax in (EXPLICIT, "1.2.840.10008.1.2"):
            content = dataset_bytes(path)
            response = send_raw(link, content, sop_class=CR, uid=_uid_in(path), syntax=syntax)
            assert response is not None, path
            assert response.Status in {0x0000, 0xA900, 0xC000}, path
    link.release()
    assert list((spool.root / "tmp").iterdir()) == []
    image = shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
    assert send_file(scp, image).Status == 0


def test_an_image_over_the_limit_is_refused_without_filling_the_disk(scp, spool, small_image):
    """An image of more than 64 MB is answered 0xC000 when it has been sent, and nowhere on disk."""
    response = send_file(scp, small_image, dataset_bytes(small_image) + bytes(80 * 2**20))
    assert response.Status == 0xC000
    assert files(spool) == []


def test_a_full_disk_is_answered_and_passes(small_disk, handler, small_image):
    """On a full disk an image is answered 0xA700; with space again the next one is stored."""
    spool = Spool(small_disk)
    server = started(spool, handler)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_900_000))
    try:
        assert send_file(server, small_image).Status == 0xA700
        assert files(spool) == [ballast]
        ballast.unlink()
        assert send_file(server, small_image).Status == 0
    finally:
        server.stop(5)


@pytest.mark.parametrize("how", ["abort", "cut"])
def test_a_broken_association_leaves_nothing_and_is_reported(scp, handler, spool, how, eventually):
    """An abort and a cut cable in the middle of an image are distinguished; both leave no file."""
    link = associate(scp, (CR, EXPLICIT))
    _send_half(link)
    eventually(lambda: files(spool), seconds=5, what="the temporary file")
    if how == "abort":
        link.abort()
    else:
        link.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: handler.ends, seconds=5, what="the end of the association")
    expected = "aborted" if how == "abort" else "broken"
    assert [outcome for _, outcome in handler.ends] == [expected]
    eventually(lambda: not files(spool), seconds=5, what="an empty spool")


def _send_half(link) -> None:
    """Send a C-STORE command and the first fragment of its data set, and no more."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(CR), UID("1.2.3")
    request.Priority = 2
    request.DataSet = BytesIO(bytes(200_000))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    fragments = message.encode_msg(link.accepted_contexts[0].context_id, 16_384)
    for _ in range(3):
        link.dul.send_pdu(next(fragments))


def test_32_associations_at_once_are_all_served(scp, handler, spool, small_image):
    """A morning's rush: each of 32 senders gets Success for its own image."""
    content = dataset_bytes(small_image)
    uid = check_identity(read_header(small_image)).sop_instance_uid

    def send(number: int) -> int:
        own = f"{uid[:-3]}{number + 100}"
        link = associate(scp, (CR, EXPLICIT), calling=f"CR{number}")
        assert link.is_established
        image = content.replace(uid.encode(), own.encode())
        response = send_raw(link, image, sop_class=CR, uid=own, syntax=EXPLICIT)
        link.release()
        return response.Status

    with ThreadPoolExecutor(32) as threads:
        assert set(threads.map(send, range(32))) == {0}
    assert len({instance.sop_instance_uid for instance in handler.instances}) == 32
    assert len(files(spool)) == 32


def test_256_associations_at_once_are_accepted_by_default(spool, handler):
    """All at the same time, none refused; the next one is informed that it is one too many."""
    server = started(spool, handler)
    connections = []
    try:
        for _ in range(256):
            connections.append(socket.create_connection(("127.0.0.1", server.port), 10))
            connections[-1].sendall(association_request())
        assert {connection.recv(4096)[0] for connection in connections} == {2}  # A-ASSOCIATE-AC
        assert knock(server) == struct.pack(">BxLxBBB", 3, 4, 2, 3, 2)
    finally:
        for connection in connections:
            connection.close()
        server.stop(5)


def test_one_association_too_many_is_rejected_as_over_the_local_limit(spool, handler):
    """The limit is a rejection that states it, and may pass."""
    server = started(spool, handler, max_associations=2)
    links = [associate(server, (CR, EXPLICIT)) for _ in range(2)]
    try:
        assert all(link.is_established for link in links)
        assert knock(server) == struct.pack(">BxLxBBB", 3, 4, 2, 3, 2)
    finally:
        for link in links:
            link.release()
        server.stop(5)


def test_a_silent_connection_that_sends_as_it_is_closed_ends_no_other(spool, handler):
    """Its byte and the connection for which it is closed are seen by one look at the sockets."""
    server = started(spool, handler, max_associations=1)
    selector, looking, look = server._server._selector, threading.Event(), threading.Event()
    select = selector.select

    def held(timeout):
        looking.set()
        assert look.wait(10)
        return select(timeout)

    silent = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(3)]
    try:
        selector.select = held
        silent.append(socket.create_connection(("127.0.0.1", server.port), 10))
        assert looking.wait(10)
        silent.append(socket.create_connection(("127.0.0.1", server.port), 10))
        silent[0].sendall(b"\x01")
        look.set()
        assert silent[0].recv(1) == b""
    except ConnectionResetError:
        pass  # closed with its byte unread
    finally:
        for connection in silent:
            connection.close()
    assert knock(server)[0] == 2
    assert not server.has_stopped_listening
    server.stop(5)


def test_a_connection_that_the_machine_cannot_watch_is_closed_and_the_next_is_served(
    spool, handler, caplog
):
    """As at fs.epoll.max_user_watches."""
    server = started(spool, handler)
    selector = server._server._selector
    register = selector.register
    assert knock(server)[0] == 2  # it listens

    def refuse(*_):
        selector.register = register
        raise OSError(errno.ENOSPC, "No space left on device")

    selector.register = refuse
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        assert connection.recv(1) == b""
    assert "was closed: No space left on device" in caplog.text
    assert knock(server)[0] == 2
    assert not server.has_stopped_listening
    server.stop(5)


@pytest.mark.serial
@pytest.mark.parametrize("broken_too", ["_begin", "_close_oldest", "server_close"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_ends_by_a_fault_reports_it(spool, handler, eventually, broken_too):
    """Who watches it can start a new one, even where it cannot tidy up; stopping it returns."""
    server = started(spool, handler)

    def broken(*_):
        raise KeyError("socket")

    listener = server._server
    tidy = getattr(listener, broken_too)
    listener._accept = broken
    setattr(listener, broken_too, broken)
    assert not server.has_stopped_listening
    # Its port is closed at once, perhaps before the connection stands.
    with suppress(ConnectionResetError):
        socket.create_connection(("127.0.0.1", server.port), 10).close()
    eventually(lambda: server.has_stopped_listening, seconds=10, what="the end of the listener")
    eventually(
        lambda: all(thread.name != "listener" for thread in threading.enumerate()),
        seconds=10,
        what="the end of its thread",
    )
    setattr(listener, broken_too, tidy)
    began = time.monotonic()
    server.stop(1)
    assert time.monotonic() - began < 5


def test_an_orderly_stop_lets_the_image_in_transfer_finish(spool, handler, small_image):
    """After stop() nobody new comes in; who was there gets Success for a durable image."""
    server = started(spool, handler)
    handler.wait.clear()
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(send_file, server, small_image)
        while not handler.admitted or not files(spool):
            time.sleep(0.01)
        stopped = threads.submit(server.stop, 20)
        time.sleep(0.4)
        assert not stopped.done()
        assert not associate(server, (CR, EXPLICIT)).is_established
        handler.wait.set()
        assert answer.result(20).Status == 0
        stopped.result(20)
    assert [outcome for _, outcome in handler.ends] == ["released"]


@pytest.mark.serial
def test_a_stop_aborts_who_does_not_finish(spool, handler):
    """An association that stays open holds the stop no longer than its limit."""
    server = started(spool, handler)
    link = associate(server, (CR, EXPLICIT))
    began = time.monotonic()
    server.stop(0.5)
    assert time.monotonic() - began < 4
    assert [outcome for _, outcome in handler.ends] == ["broken"]
    link.abort()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="http"),
        pytest.param(b"\x01\x00\xff\xff\xff\xff" + bytes(100), id="length of 4 GiB"),
        pytest.param(b"\x04\x00\x00\x00\x00\x10" + bytes(16), id="data before association"),
        pytest.param(b"\x09" * 64, id="unknown PDU"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_garbage_ends_its_own_connection_only(scp, small_image, garbage):
    """What is no DICOM gets no answer of use, and the next image is stored."""
    with socket.create_connection(("127.0.0.1", scp.port), 5) as connection:
        connection.sendall(garbage)
    assert send_file(scp, small_image).Status == 0


@pytest.mark.parametrize(
    ("usable", "level"),
    [([CR], "DEBUG"), ([], "WARNING"), (["1.2.840.10008.1.1"], "WARNING")],
)
def test_many_refused_contexts_leave_one_line(scp, caplog, usable, level):
    """A sender that offers every SOP Class it knows does not fill the log with each association.

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


def test_kill_in_the_middle_of_an_image_loses_nothing_that_was_acknowledged(
    tmp_path, small_image, eventually
):
    """After kill -9 the acknowledged image is there whole; of the half one only a leftover is."""
    script = """
import sys, time
from pathlib import Path
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool
class Handler:
    def admit(self, association): return None
    def unavailable(self, association): return None
    def record(self, arrived): return [None for _ in arrived]
    def association_ended(self, association, outcome): pass
settings = ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0)
scp = StorageSCP(settings, Spool(Path(sys.argv[1])), Handler())
scp.start()
print(scp.port, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    spool = Spool(tmp_path)
    try:
        assert process.stdout is not None

        class Remote:
            port = int(process.stdout.readline())

        assert send_file(Remote, small_image).Status == 0
        link = associate(Remote, (CR, EXPLICIT))
        _send_half(link)
        eventually(lambda: len(files(spool)) == 2, seconds=5, what="the temporary file")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    link.abort()
    assert spool.recover() == 1
    (left,) = files(spool)
    assert dataset_bytes(left) == dataset_bytes(small_image)


def ask_commitment(scp, information, *, action=1):
    """Return the N-ACTION's status, and what is reported on the same association: type and content."""
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
    """Event type 1 when all is there; type 2 and the failure reason when something is not."""
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


def test_every_class_and_syntax_offered_is_accepted(scp):
    """Each storage class is taken in each transfer syntax that our decoders can read."""
    for storage_class in STORAGE_CLASSES:
        link = associate(scp, *((storage_class, syntax) for syntax in TRANSFER_SYNTAXES))
        assert len(link.accepted_contexts) == len(TRANSFER_SYNTAXES)
        link.release()
