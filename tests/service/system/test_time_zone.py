"""A time zone that does not exist is reported, and not treated as UTC."""

import subprocess
import sys
import time

import pytest

from service.checks.check import Grade
from service.checks.installation import time_zone
from service.system.time_zone import zone_fault

START = (
    "from service.log import configure_logging; from service.settings.keys.sections import Log; "
    "configure_logging(Log(), process='web')"
)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "UTC",
        "Europe/Berlin",
        ":Asia/Seoul",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "<+0530>-5:30",
        "UTC0",
    ],
)
def test_a_zone_that_exists_is_no_fault(given):
    """By its name, or by its offset as POSIX has it; without a name the system's."""
    assert zone_fault(given) == ""


@pytest.mark.parametrize(
    "given", ["Nonsense/Zone", "Europe", "CET+", "../../../etc/passwd", "Berlin", "\0", "x" * 5000]
)
def test_a_zone_that_does_not_exist_is_a_fault(given):
    """A word, a folder, another file, a name too long."""
    assert "does not exist: times are shown in UTC" in zone_fault(given)


def test_the_nearest_name_is_offered():
    """The message suggests a zone for a misspelled one; without zone files the package is named."""
    assert "did you mean Europe/Berlin?" in zone_fault("Europe/Berln")
    assert "tzdata" in zone_fault("Europe/Berlin", "/nowhere")


def test_a_link_by_its_path_is_a_zone():
    """TZ may be the path of a file."""
    assert zone_fault(":/usr/share/zoneinfo/Asia/Seoul") == ""


@pytest.fixture
def misspelt(monkeypatch):
    """The environment of a process with a zone that does not exist."""
    monkeypatch.setenv("TZ", "Nonsense/Zone")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("misspelt")
def test_check_and_log_state_it():
    """A row of `wetread check`, and a line at the start of each process."""
    outcome = time_zone()
    assert outcome.grade is Grade.WARNING
    assert outcome.detail.startswith("the time zone 'Nonsense/Zone' (TZ) does not exist")
    # A separate process: the logging of this one is shared by all tests.
    started = subprocess.run(
        [sys.executable, "-c", START], capture_output=True, text=True, check=True
    )
    assert "time_zone_not_known" in started.stderr


def test_check_names_the_zone_in_force(monkeypatch):
    """The name and the offset of now."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    outcome = time_zone()
    monkeypatch.undo()
    time.tzset()
    assert (outcome.grade, outcome.detail) == (Grade.OK, "KST (UTC+0900)")
