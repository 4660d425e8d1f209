"""A data set that is written to the disk while it arrives, with its file meta group."""

import os
from io import BytesIO

import pytest
from pydicom.filereader import read_file_meta_info

from dicom.errors import LimitExceeded, OutOfResources
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom.parsing.byte_source import WINDOW
from dicom.spool.digest import new_hasher
from dicom.spool.incoming_file import Announced, Incoming, file_meta, out_of_resources

ANNOUNCED = Announced(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
    sop_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    source_ae="CR1",
)
META = file_meta(ANNOUNCED)


def incoming(folder, **changes):
    """Return a new incoming file."""
    return Incoming(folder / "part", ANNOUNCED, **{"max_bytes": 2**24, **changes})


def test_the_meta_group_is_read_by_pydicom(tmp_path):
    """PS3.10 7.1: UIDs, sender and our implementation; its length is that of its elements."""
    (tmp_path / "file").write_bytes(META)
    meta = read_file_meta_info(tmp_path / "file")
    assert meta.MediaStorageSOPClassUID == ANNOUNCED.sop_class_uid
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.SourceApplicationEntityTitle == "CR1"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.FileMetaInformationGroupLength == len(META) - 144
    assert len(META) % 2 == 0
    assert BytesIO(META).read(132) == bytes(128) + b"DICM"


@pytest.mark.parametrize("size", [0, 1, 3, 700, WINDOW, 3 * 2**20])
def test_fragments_become_the_file(tmp_path, size):
    """Head, size and digest are those of all fragments in order."""
    content = os.urandom(size)
    file = incoming(tmp_path)
    pieces = [content[at : at + 1 + size // 600] for at in range(0, size, 1 + size // 600)]
    half = len(pieces) // 2
    file.write_all(pieces[:half])
    for piece in pieces[half:]:
        file.write(memoryview(piece))
    file.sync()
    assert file.path.read_bytes() == META + content
    hasher = new_hasher()
    hasher.update(content)
    assert (file.size, file.digest, file.head) == (size, hasher.hexdigest(), content[:WINDOW])
    assert file.path.stat().st_blocks * 512 < size + 2**19
    file.release()


def test_a_data_set_beyond_the_limit_is_dropped(tmp_path):
    """The first error is kept, the file is removed at once, and later bytes are ignored."""
    file = incoming(tmp_path, max_bytes=10)
    file.write(b"x" * 11)
    file.write(b"more")
    assert isinstance(file.fault, LimitExceeded)
    assert not file.path.exists()
    with pytest.raises(LimitExceeded):
        file.sync()


def test_a_file_that_cannot_be_made_is_a_fault(tmp_path):
    """The message has no path."""
    file = incoming(tmp_path / "nowhere")
    file.write(b"x")
    assert str(file.fault) == "the spool cannot be written (ENOENT)"
    assert isinstance(out_of_resources(OSError()), OutOfResources)


def test_a_fault_that_is_given_opens_no_file(tmp_path):
    """As when the disk is full before the first byte."""
    file = incoming(tmp_path, fault=OutOfResources("full"))
    assert not file.path.exists()
    file.discard()


def test_a_full_disk_is_a_fault(small_disk):
    """And leaves no part of the file."""
    file = incoming(small_disk)
    for _ in range(4):
        file.write(bytes(2**20))
    assert "ENOSPC" in str(file.fault)
    assert list(small_disk.iterdir()) == []


def test_a_released_file_stays(tmp_path):
    """After it has its final name."""
    file = incoming(tmp_path)
    file.write(b"x")
    file.release()
    file.discard()
    assert file.path.exists()
