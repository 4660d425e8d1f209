"""Folders as destinations."""

import os
import subprocess

import pytest
from pydicom.uid import generate_uid

from dicom.destinations.folder import FolderDestination
from dicom.errors import DestinationRejected, DestinationUnavailable
from dicom.results.json_sidecar import SIDECAR_NAME
from tests.dicom.destinations.sending import capture_object, encoded, folder_destination, sending


def test_a_result_that_cannot_be_read_now_may_pass(tmp_path, objects):
    """A disk error is no statement about the result: the delivery is tried again."""
    objects[0].path.unlink()
    objects[0].path.mkdir()  # reading it fails although it exists
    with pytest.raises(DestinationUnavailable, match="cannot be read"):
        folder_destination(tmp_path / "out").send(objects)


def test_other_bytes_under_the_same_uid_are_noticed_in_a_folder(tmp_path, objects, other_bytes):
    """An existing file is never overwritten."""
    destination = folder_destination(tmp_path / "out")
    destination.send(objects)
    with pytest.raises(DestinationRejected, match="other bytes"):
        destination.send(other_bytes)
    with pytest.raises(DestinationRejected, match="other bytes"):
        destination.verify(other_bytes)
    destination.verify(objects)


def test_a_folder_file_is_whole_and_readable(tmp_path, objects):
    """The files lie under study and instance UID, and nothing else lies there."""
    destination = folder_destination(tmp_path / "out")
    destination.send(objects)
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    expected = [
        tmp_path / "out" / item.study_instance_uid / f"{item.sop_instance_uid}.dcm"
        for item in objects
    ]
    assert files == sorted(expected)
    assert expected[0].read_bytes() == objects[0].path.read_bytes()
    assert expected[0].stat().st_mode & 0o777 == 0o640


def test_a_folder_takes_the_drafts_json_where_configured(tmp_path, objects):
    """The JSON beside our objects is stored under the report's UID and read back, if configured."""
    (tmp_path / SIDECAR_NAME).write_text('{"status": "PRELIMINARY"}')
    plain, with_sidecar = (
        FolderDestination(name="folder", path=tmp_path / name, sidecar=name == "with_sidecar")
        for name in ("plain", "with_sidecar")
    )
    for destination in (plain, with_sidecar):
        destination.send(objects)
        destination.verify(objects)
        destination.send(objects)
    assert list((tmp_path / "plain").rglob("*.json")) == []
    (sidecar_file,) = (tmp_path / "with_sidecar").rglob("*.json")
    assert sidecar_file == with_sidecar.place(objects[0]).with_suffix(".json")
    assert sidecar_file.read_text() == '{"status": "PRELIMINARY"}'
    sidecar_file.unlink()
    with pytest.raises(DestinationUnavailable, match="not what was sent"):
        with_sidecar.verify(objects)


def test_a_folder_is_content_without_a_json(tmp_path, objects):
    """A notice has no JSON: a destination with JSON still takes the objects."""
    destination = FolderDestination(name="folder", path=tmp_path / "out", sidecar=True)
    destination.send(objects)
    destination.verify(objects)
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, tiny_disk):
    """A folder on a full disk is unavailable, and no part of a file stays."""
    capture = capture_object(generate_uid())
    capture.Rows = capture.Columns = 512
    capture.PixelData = bytes(512 * 512)
    item = encoded(tmp_path / "large.dcm", capture)
    destination = folder_destination(tiny_disk)
    with pytest.raises(DestinationUnavailable, match="No space left"):
        destination.send([item])
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []


def test_a_file_in_the_folders_place_is_reported(tmp_path, objects):
    """A destination that is no folder is a rejection that names it."""
    (tmp_path / "out").write_text("a file")
    destination = folder_destination(tmp_path / "out")
    for call in (destination.probe, sending(destination, objects)):
        with pytest.raises((DestinationRejected, DestinationUnavailable), match="folder"):
            call()


@pytest.fixture
def read_only_folder(tmp_path):
    """A folder that even root may not write to."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        return
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a read-only file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_without_the_right_to_write_is_reported(read_only_folder, objects):
    """A read-only folder is a rejection that names the missing permission."""
    destination = folder_destination(read_only_folder)
    for call in (destination.probe, sending(destination, objects)):
        with pytest.raises(DestinationRejected, match="write permission"):
            call()
