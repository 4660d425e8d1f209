import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicom.spool import folder_sync
from dicom.spool.folder_sync import FolderSyncs


class Disk:
    """Replaces the disk: records which folders it syncs, and waits until the test lets it continue."""

    def __init__(self, monkeypatch):
        self.synced = []
        self.may = threading.Event()
        self.error = None
        monkeypatch.setattr(folder_sync, "sync_folder", self._sync)

    def _sync(self, folder):
        self.synced.append(folder.name)
        self.may.wait(10)
        if self.error:
            raise self.error


@pytest.fixture
def disk(monkeypatch):
    """A disk whose syncs wait until the test releases them."""
    return Disk(monkeypatch)


def waiting(syncs, folder):
    """Return the number of threads that wait until the running sync of `folder` ends."""
    return len(syncs._each[folder]._waiting)


def test_one_folder_is_synced_once_for_all_that_wait(disk, tmp_path):
    """Ten requests during the sync of a folder cause one more sync, not ten."""
    syncs = FolderSyncs()
    with ThreadPoolExecutor(11) as threads:
        first = threads.submit(syncs.sync, tmp_path)
        while not disk.synced:
            time.sleep(0.005)
        others = [threads.submit(syncs.sync, tmp_path) for _ in range(10)]
        while waiting(syncs, tmp_path) < 10:
            time.sleep(0.005)
        # A sync does not cover names that were added after it began.
        assert not first.done()
        disk.may.set()
        for each in (first, *others):
            each.result(10)
    assert disk.synced == [tmp_path.name] * 2


def test_folders_do_not_wait_for_each_other(disk, tmp_path):
    """Two folders are synced at the same time."""
    syncs = FolderSyncs()
    one, two = tmp_path / "01", tmp_path / "02"
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(syncs.sync, folder) for folder in (one, two)]
        while len(disk.synced) < 2:
            assert not any(each.done() for each in asked)
            time.sleep(0.005)
        disk.may.set()
        for each in asked:
            each.result(10)
    assert sorted(disk.synced) == ["01", "02"]


def test_every_sender_gets_the_refusal_of_the_disk(disk, tmp_path):
    """All threads whose names may be lost get an error of the same kind."""
    disk.error = OSError(errno.EIO, "Input/output error")
    syncs = FolderSyncs()
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(syncs.sync, tmp_path) for _ in range(4)]
        while len(disk.synced) + (waiting(syncs, tmp_path) if disk.synced else 0) < 4:
            time.sleep(0.005)
        disk.may.set()
        for each in asked:
            with pytest.raises(OSError, match="Input/output") as caught:
                each.result(10)
            assert caught.value.errno == errno.EIO
    disk.error = None
    syncs.sync(tmp_path)
