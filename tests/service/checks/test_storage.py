"""What `wetread check` reports about folders and disk; it leaves nothing behind."""

import os

import pytest

from service.checks.check import Grade, results
from service.checks.storage import storage_checks
from service.settings.config import load_settings

ROOMY = {"receiver": {"min_free_bytes": 0}, "sweep": {"warn_free_bytes": 0, "early_free_bytes": 0}}


def outcomes(folder, **settings):
    """Return what is reported about each folder of a site in `folder`."""
    checks = storage_checks(load_settings(data_dir=folder, **{**ROOMY, **settings}))
    return {result.what: result.outcome for result in results(checks)}


def test_folders_that_are_there_and_not_yet_there(tmp_path):
    """Both are fine, and no folder is made: it would belong to the user of the command."""
    assert {each.grade for each in outcomes(tmp_path / "a" / "b").values()} == {Grade.OK}
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "outbox").mkdir()
    found = outcomes(tmp_path)
    assert found.keys() == {"data_dir", "spool", "outbox"}
    assert list((tmp_path / "outbox").iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_named(tmp_path):
    """As data_dir itself and above it."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        found = outcomes(folder)["data_dir"]
        assert found.grade is Grade.FAULT
        assert f"{tmp_path / 'file'} is a file" in found.detail
        assert "set data_dir" in found.detail.replace("Set", "set")


def test_a_file_system_that_refuses_is_named():
    """Nothing can be made in /proc, by no user."""
    found = outcomes("/proc/wetread")["data_dir"]
    assert found.grade is Grade.FAULT
    assert "cannot be created in /proc" in found.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_another_user_is_named(tmp_path):
    """With its owner and mode, and what to do."""
    tmp_path.chmod(0o500)
    found = outcomes(tmp_path)["data_dir"]
    tmp_path.chmod(0o700)
    assert found.grade is Grade.FAULT
    assert "mode 500" in found.detail


@pytest.mark.parametrize(
    ("settings", "grade", "expected"),
    [
        ({"receiver": {"min_free_bytes": 2**60}}, Grade.FAULT, "the receiver accepts no images"),
        ({"sweep": {"early_free_bytes": 2**60}}, Grade.WARNING, "sweep.early_free_bytes"),
        ({"sweep": {"warn_free_bytes": 2**60, "early_free_bytes": 0}}, Grade.WARNING, "warn_free"),
    ],
)
def test_each_limit_of_the_disk_is_named(tmp_path, settings, grade, expected):
    """What happens at each, with the key."""
    found = outcomes(tmp_path, **settings)["spool"]
    assert (found.grade, expected in found.detail) == (grade, True)
