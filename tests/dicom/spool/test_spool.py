import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from blake3 import blake3

from dicom.errors import InvalidIdentifier, LimitExceeded, OutOfResources
from dicom.parsing.header import Identity, check_identity, read_header
from dicom.spool.incoming_file import Announced
from dicom.spool.spool import Spool, data_set_size, has_digest

DX = "1.2.840.10008.5.1.4.1.1.1.1"
ANNOUNCED = Announced(
    sop_class_uid=DX,
    sop_instance_uid="1.2.3.4",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    source_ae="MODALITY",
)
IDENTITY = Identity(
    sop_instance_uid="1.2.3.4",
    sop_class_uid=DX,
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.5",
)


def keep(spool: Spool, content: bytes, identity: Identity = IDENTITY, source_ae: str = "MODALITY"):
    """Receive `content` in two pieces and keep it."""
    incoming = spool.receive(replace(ANNOUNCED, source_ae=source_ae))
    incoming.write(content[:3])
    incoming.write(content[3:])
    return spool.store(incoming, identity)


def files(spool: Spool) -> list[Path]:
    """Return the files in the spool, its lock files left out."""
    found = (path for path in spool.root.rglob("*") if path.is_file())
    return [path for path in found if path.parent.name != "locks"]


@pytest.fixture
def spool(tmp_path):
    """An empty spool."""
    return Spool(tmp_path / "spool")


def test_an_image_comes_out_of_the_spool_byte_for_byte(spool, shared_data):
    """Each image's data set is kept undecoded behind a file meta group of our own."""
    for source in sorted((shared_data / "cxr-dicom").glob("*.dcm")):
        header = read_header(source)
        identity = check_identity(header)
        content = source.read_bytes()[-100_000:]
        incoming = spool.receive(
            Announced(
                sop_class_uid=identity.sop_class_uid,
                sop_instance_uid=identity.sop_instance_uid,
                transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
                source_ae="MODALITY",
            )
        )
        incoming.write(content)
        instance = spool.store(incoming, identity).instance
        assert instance.path.read_bytes().endswith(content)
        assert instance.digest == blake3(content).hexdigest(length=28)
        assert instance.size == len(content)
        assert instance.study_instance_uid == identity.study_instance_uid


def test_the_file_meta_group_is_one_that_others_read(spool):
    """Another reader finds preamble, prefix, group length and elements as in the Standard."""
    kept = keep(spool, b"\x08\x00\x60\x00CS\x02\x00DX")
    dataset = pydicom.dcmread(kept.instance.path)
    meta = dataset.file_meta
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert meta.MediaStorageSOPClassUID == DX
    assert meta.SourceApplicationEntityTitle == "MODALITY"
    assert meta.ImplementationVersionName.startswith("WETREAD")
    assert dataset.Modality == "DX"
    start = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    assert kept.instance.path.read_bytes()[start:] == b"\x08\x00\x60\x00CS\x02\x00DX"


@pytest.mark.parametrize("piece", [1000, 2**16, 2**20])
@pytest.mark.parametrize("size", [0, 300, 2**16, 2**16 + 1, 200_001])
def test_the_beginning_of_a_data_set_stays_at_hand(spool, size, piece):
    """Its first 64 KiB, for any division into pieces; all of it if it is shorter."""
    content = bytes(range(251)) * (size // 251 + 1)
    incoming = spool.receive(ANNOUNCED)
    pieces = [memoryview(content[:size])[at : at + piece] for at in range(0, size, piece)]
    incoming.write_all(pieces[:2])
    for each in pieces[2:]:
        incoming.write(each)
    assert incoming.head == content[: min(size, 2**16)]
    assert incoming.size == size
    incoming.discard()


def test_the_same_bytes_twice_are_one_file(spool):
    """An image that is sent again is found, not stored again."""
    first, second = keep(spool, b"same bytes"), keep(spool, b"same bytes")
    assert (first.created, second.created) == (True, False)
    assert first.instance == second.instance
    assert files(spool) == [first.instance.path]


def test_other_bytes_under_the_same_uid_are_kept_apart(spool):
    """The first image is not touched by a second one that claims its UID."""
    first, second = keep(spool, b"one image"), keep(spool, b"another image")
    assert first.created
    assert second.created
    assert first.instance.path != second.instance.path
    assert first.instance.path.read_bytes().endswith(b"one image")


def test_a_damaged_file_is_replaced_when_the_image_comes_again(spool):
    """A file that was truncated later does not count as the same image."""
    path = keep(spool, b"the whole image").instance.path
    path.write_bytes(path.read_bytes()[:-4])
    again = keep(spool, b"the whole image")
    assert (again.created, again.repaired) == (False, True)
    assert path.read_bytes().endswith(b"the whole image")


def test_a_file_damaged_in_place_is_replaced_when_the_image_comes_again(spool):
    """Its length is right but its bytes are not: the sender may delete the only intact copy."""
    first = keep(spool, b"the whole image")
    path = first.instance.path
    path.write_bytes(path.read_bytes().replace(b"whole", b"wrong"))
    again = keep(spool, b"the whole image")
    assert (again.created, again.repaired) == (False, True)
    assert has_digest(path, first.instance.digest)
    assert files(spool) == [path]


def test_the_same_image_from_another_sender_leaves_the_acknowledged_file(spool):
    """The sender's AE title in the file meta group changes the length: the image is the same."""
    first = keep(spool, b"same bytes", source_ae="CR")
    acknowledged = first.instance.path.read_bytes()
    second = keep(spool, b"same bytes", source_ae="LONG_ROUTER")
    assert not second.created
    assert second.instance.path == first.instance.path
    assert first.instance.path.read_bytes() == acknowledged


def test_names_hold_nothing_that_a_sender_chose_but_a_uid(spool):
    """A study is named by a hash, an image by its UID: no path, no control character, no hidden file."""
    path = keep(spool, b"bytes").instance.path.relative_to(spool.root)
    assert len(path.parts) == 2
    assert path.name[16:].startswith(".1.2.3.4.")
    assert all(character in "0123456789abcdef./" for character in str(path)[:-4])


@pytest.mark.parametrize("uid", ["../../../etc/cron.d/x", "1.2\x00", "", "1" * 65])
def test_an_invalid_announced_uid_is_refused_and_its_bytes_go_nowhere(spool, uid):
    """The data set after such a command is read and dropped."""
    incoming = spool.receive(
        Announced(
            sop_class_uid=DX,
            sop_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2",
            source_ae="X",
        )
    )
    incoming.write(b"bytes")
    assert isinstance(incoming.fault, InvalidIdentifier)
    assert files(spool) == []


def test_an_image_over_the_limit_takes_no_disk_space(tmp_path):
    """The file is removed at the first byte beyond the limit, and is not created again."""
    spool = Spool(tmp_path, max_object_bytes=1000)
    incoming = spool.receive(ANNOUNCED)
    incoming.write(bytes(1000))
    assert incoming.fault is None
    incoming.write(b"1")
    incoming.write(bytes(5000))
    assert isinstance(incoming.fault, LimitExceeded)
    assert files(spool) == []
    with pytest.raises(LimitExceeded):
        spool.store(incoming, IDENTITY)


def test_a_nearly_full_disk_takes_nothing(tmp_path):
    """Below the free space that must stay, an image is answered 0xA700 before a byte is written."""
    spool = Spool(tmp_path, min_free_bytes=2**60)
    incoming = spool.receive(ANNOUNCED)
    assert isinstance(incoming.fault, OutOfResources)
    assert incoming.fault.status == 0xA700
    assert files(spool) == []


def test_a_full_disk_leaves_nothing_behind(small_disk):
    """When the disk fills while an image arrives, its space is freed and the next one fits."""
    spool = Spool(small_disk)
    before = spool.free_bytes()
    incoming = spool.receive(ANNOUNCED)
    for _ in range(64):
        incoming.write(bytes(2**16))
    assert isinstance(incoming.fault, OutOfResources)
    assert files(spool) == []
    assert spool.free_bytes() == before
    assert keep(spool, bytes(2**16)).created


@pytest.mark.parametrize("system_call", ["sync_file_range", None])
def test_an_image_whose_writing_begins_early_is_whole(spool, monkeypatch, system_call):
    """Five megabytes in odd pieces, with early writeback and without it."""
    if system_call is None:
        monkeypatch.setattr("dicom.spool.durable._SYNC_FILE_RANGE", None)
    content = random.Random(1).randbytes(5 * 2**20 + 1)
    incoming = spool.receive(ANNOUNCED)
    for start in range(0, len(content), 299_993):
        incoming.write(content[start : start + 299_993])
    path = spool.store(incoming, IDENTITY).instance.path
    assert path.read_bytes().endswith(content)
    assert data_set_size(path) == len(content)


def test_a_disk_that_fails_at_the_end_leaves_nothing_behind(spool, monkeypatch):
    """When the last step, syncing the folder, fails, there is no file and no Success."""

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("dicom.spool.folder_sync.sync_folder", fail)
    with pytest.raises(OutOfResources, match="EIO"):
        keep(spool, b"bytes")
    assert files(spool) == []


def test_kill_in_the_middle_leaves_a_temporary_file_that_recover_removes(tmp_path):
    """After kill -9 only a temporary file remains, and the next start removes it."""
    script = """
import sys, time
from pathlib import Path
from dicom.spool.incoming_file import Announced
from dicom.spool.spool import Spool
incoming = Spool(Path(sys.argv[1])).receive(Announced(
    sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid="1.4", source_ae="X"))
incoming.write(bytes(100000))
print("written", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        spool = Spool(tmp_path)
        assert spool.recover() == 0, "a file that is still being written is not a leftover"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(files(spool)) == 1
    assert spool.recover() == 1
    assert files(spool) == []


def test_removing_an_image_twice_is_no_error_and_it_may_come_again(spool):
    """Also when retention took the empty folder away."""
    path = keep(spool, b"bytes").instance.path
    spool.remove(path)
    spool.remove(path)
    path.parent.rmdir()
    assert keep(spool, b"bytes").created


def test_the_folders_for_images_are_made_at_the_first_image(spool):
    """All at once, not earlier: an empty one would suggest that the right disk is mounted."""
    assert list(spool.root.glob("??")) == []
    keep(spool, b"bytes")
    made = {path.name for path in spool.root.glob("??")}
    assert made == {f"{number:02x}" for number in range(256)}


def test_a_new_folder_is_synced_into_the_spool_before_an_image_counts(tmp_path, monkeypatch):
    """Each process syncs it: the process that created the folder may have been killed before."""
    synced = []
    monkeypatch.setattr("dicom.spool.spool.sync_folder", synced.append)
    monkeypatch.setattr("dicom.spool.folder_sync.sync_folder", synced.append)
    for content in (b"an image", b"another"):
        spool = Spool(tmp_path)
        folder = keep(spool, content).instance.path.parent
        keep(spool, content * 2)
        assert synced == [tmp_path, folder, folder]
        synced.clear()


def test_a_data_set_without_a_byte_is_a_file_with_its_meta_group(spool):
    """A reader gets the error for an empty file, not that it is no DICOM file."""
    path = spool.store(spool.receive(ANNOUNCED), IDENTITY).instance.path
    assert pydicom.filereader.read_file_meta_info(path).MediaStorageSOPInstanceUID == "1.2.3.4"
    assert data_set_size(path) == 0


def test_letting_go_of_a_kept_image_leaves_its_file(spool):
    """Also if another file has the temporary name by then; an image that was not kept is removed."""
    kept, dropped = spool.receive(ANNOUNCED), spool.receive(ANNOUNCED)
    kept.write(b"bytes")
    dropped.write(b"bytes")
    path = spool.store(kept, IDENTITY).instance.path
    kept.path.write_bytes(b"another's")
    for incoming in (kept, dropped):
        incoming.discard()
        incoming.discard()
    assert sorted(files(spool)) == sorted([path, kept.path])


def test_many_threads_may_keep_and_remove_images_of_one_study(spool):
    """A folder that one thread removes while another fills it loses no image."""

    def keep_and_remove(number: int) -> bool:
        identity = replace(IDENTITY, sop_instance_uid=f"1.2.3.{number % 16}")
        with spool.uid_lock(identity.sop_instance_uid):
            kept = keep(spool, b"film", identity)
            assert kept.created
            spool.remove(kept.instance.path)
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(keep_and_remove, range(200)))
    assert files(spool) == []


def test_only_one_at_a_time_stores_the_same_uid(spool):
    """Two senders of one image take turns; senders of other images do not wait for them."""
    inside = []

    def hold(number: int) -> None:
        with spool.uid_lock("1.2.3"):
            inside.append(number)
            assert len(inside) == 1
            inside.pop()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hold, range(100)))
