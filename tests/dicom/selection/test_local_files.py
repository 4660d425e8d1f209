"""Instances of files that were not received."""

import pytest
from pydicom import dcmread

from dicom.errors import DicomError, InvalidDataset
from dicom.selection.local_files import describe
from dicom.spool.digest import new_hasher


def test_a_file_is_described_by_its_header(phantom_images):
    """UIDs, transfer syntax, and a digest of all of its bytes."""
    path = phantom_images["normal"]
    found, header = describe(path), dcmread(path)
    assert found.sop_instance_uid == header.SOPInstanceUID
    assert found.study_instance_uid == header.StudyInstanceUID
    assert found.transfer_syntax_uid == header.file_meta.TransferSyntaxUID
    assert found.size == path.stat().st_size
    whole = new_hasher()
    whole.update(path.read_bytes())
    assert found.digest == whole.hexdigest()


def test_a_bare_data_set_is_described_too(phantom_images, tmp_path):
    """Without preamble and file meta group."""
    header = dcmread(phantom_images["normal"])
    bare = tmp_path / "bare"
    content = phantom_images["normal"].read_bytes()
    bare.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])
    assert describe(bare).sop_instance_uid == header.SOPInstanceUID


def test_what_cannot_be_read_says_why(tmp_path):
    """A missing file, a folder, and one that is no DICOM."""
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(InvalidDataset, match="cannot be read: "):
            describe(path)
    (tmp_path / "text").write_text("no image")
    with pytest.raises(DicomError):
        describe(tmp_path / "text")
