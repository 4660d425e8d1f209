"""Images that a modality sends: how they are stored and answered."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

from dicom.errors import DicomError, OutOfResources
from dicom.parsing.header import read_header
from dicom.scp.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES
from dicom.spool.spool import Spool
from tests.dicom.scp.sending import (
    CR,
    EXPLICIT,
    associate,
    dataset_bytes,
    files,
    send_file,
    send_half,
    send_raw,
    started,
)


def test_each_image_is_stored_as_it_was_sent(scp, handler, shared_data):
    """In every transfer syntax the spool holds the sent data set byte for byte."""
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
    """A lossless image is accepted compressed, although its sender offers to decode it first."""
    for name, syntax in [("rle-lossless", "1.2.5"), ("jpeg-lossless-sv1", "1.2.4.70")]:
        image = shared_data / f"cxr-dicom/barre_cxr_{name}.dcm"
        dcmtk("dcmsend", "-aec", "WETREAD", "127.0.0.1", scp.port, image)
        assert handler.instances[-1].transfer_syntax_uid == f"1.2.840.10008.{syntax}"


def test_storescu_and_echoscu_are_served(scp, handler, dcmtk, small_image):
    """The simplest modality gets its answers."""
    assert dcmtk("echoscu", "-aec", "WETREAD", "127.0.0.1", scp.port).returncode == 0
    stored = dcmtk("storescu", "-aec", "WETREAD", "127.0.0.1", scp.port, small_image)
    assert stored.returncode == 0, stored.stderr
    assert len(handler.instances) == 1


def test_the_same_image_twice_is_one_file_and_two_successes(scp, handler, spool, small_image):
    """A repeated image is answered again; the disk holds it once."""
    assert [send_file(scp, small_image).Status for _ in range(2)] == [0, 0]
    assert len(handler.instances) == 2
    assert len(files(spool)) == 1


def test_the_same_uid_with_other_bytes_lies_beside_the_first(scp, handler, spool, small_image):
    """Neither image replaces the other; the handler gets both."""
    content = dataset_bytes(small_image)
    send_file(scp, small_image)
    assert send_file(scp, small_image, content[:-2] + b"\x01\x01").Status == 0
    assert len({instance.path for instance in handler.instances}) == 2
    assert len(files(spool)) == 2


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
    """When the handler fails the sender gets the status, and the spool is empty."""
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
    """While the service cannot record, 0xA700 is decided at the command; it ends by itself."""
    handler.busy = OutOfResources("the database is away")
    response = send_file(scp, small_image)
    assert (response.Status, response.ErrorComment) == (0xA700, "the database is away")
    assert files(spool) == []
    handler.busy = None
    assert send_file(scp, small_image).Status == 0


def test_a_failed_second_store_leaves_the_acknowledged_first(scp, handler, spool, small_image):
    """An image that was answered with Success stays, for any outcome of its repetition."""
    assert send_file(scp, small_image).Status == 0
    handler.fault = OutOfResources("the database is away")
    assert send_file(scp, small_image).Status == 0xA700
    assert len(files(spool)) == 1


def test_success_is_reported_after_the_handler_and_not_before(scp, handler, small_image):
    """The modality gets no answer until the row is committed."""
    handler.wait.clear()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(send_file, scp, small_image)
        time.sleep(0.5)
        assert not answer.done()
        handler.wait.set()
        assert answer.result(20).Status == 0


def test_a_command_that_announces_another_instance_is_a_mismatch(scp, spool, small_image):
    """The data set decides what an image is; a command that differs is answered 0xA900."""
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
    """Leading zeros stay, text after a NUL is cut, any other invalid UID is refused."""
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
    """An image without valid UIDs or header is refused; one with unreadable pixels only is kept."""
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
    """An image of more than 64 MB is answered 0xC000 after its last byte, and is not on the disk."""
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
    """An abort and a lost connection during an image are distinguished; both leave no file."""
    link = associate(scp, (CR, EXPLICIT))
    send_half(link)
    eventually(lambda: files(spool), seconds=5, what="the temporary file")
    if how == "abort":
        link.abort()
    else:
        link.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: handler.ends, seconds=5, what="the end of the association")
    expected = "aborted" if how == "abort" else "broken"
    assert [outcome for _, outcome in handler.ends] == [expected]
    eventually(lambda: not files(spool), seconds=5, what="an empty spool")


def test_kill_in_the_middle_of_an_image_loses_nothing_that_was_acknowledged(
    tmp_path, small_image, eventually
):
    """After kill -9 the acknowledged image is complete; of a partial one a temporary file remains."""
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
        send_half(link)
        eventually(lambda: len(files(spool)) == 2, seconds=5, what="the temporary file")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    link.abort()
    assert spool.recover() == 1
    (left,) = files(spool)
    assert dataset_bytes(left) == dataset_bytes(small_image)


def test_every_class_and_syntax_offered_is_accepted(scp):
    """Each storage class is accepted in each transfer syntax that our decoders can read."""
    for storage_class in STORAGE_CLASSES:
        link = associate(scp, *((storage_class, syntax) for syntax in TRANSFER_SYNTAXES))
        assert len(link.accepted_contexts) == len(TRANSFER_SYNTAXES)
        link.release()
