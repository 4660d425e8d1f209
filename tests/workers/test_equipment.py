"""The installation's own UID."""

import os
import threading

import pytest

from dicom.errors import InvalidIdentifier
from service.settings.config import Settings
from workers.equipment import device_uid, this_equipment


def test_the_uid_is_made_once(tmp_path):
    """Every call in one data folder gives the same UID, another folder another."""
    assert device_uid(tmp_path / "a") == device_uid(tmp_path / "a")
    assert device_uid(tmp_path / "a") != device_uid(tmp_path / "b")


def test_threads_that_ask_together_agree(tmp_path):
    """Eight at once get one UID and leave one file."""
    found, gate = [], threading.Barrier(8)

    def ask():
        gate.wait()
        found.append(device_uid(tmp_path))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == ["device-uid"]  # noqa: PTH208 - names only


def test_a_file_that_holds_no_uid_is_refused(tmp_path):
    """A manually written UID never reaches an object unchecked."""
    (tmp_path / "device-uid").write_text("1.02.x")
    with pytest.raises(InvalidIdentifier):
        device_uid(tmp_path)


def test_equipment_names_the_site_and_the_version(tmp_path):
    """Institution and software version come from settings and package."""
    equipment = this_equipment(Settings(data_dir=tmp_path, site_name="St. Elsewhere"))
    assert equipment.institution_name == "St. Elsewhere"
    assert equipment.software_version
