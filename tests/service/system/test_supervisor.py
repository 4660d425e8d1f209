import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.all_in_one import sole_owner
from service.system.supervisor import REPLACE_ME, Part, Supervisor


def _until(condition, seconds=10.0):
    """Return what `condition` returns as soon as that is true; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.fixture
def exits():
    """The reports of the supervisor."""
    return []


@pytest.fixture
def supervise(exits):
    """Start a supervisor over parts given as Python source; stop it at the end."""
    started = []

    def start(stop_seconds=10.0, **sources):
        parts = [
            Part(name=name, command=(sys.executable, "-c", source))
            for name, source in sources.items()
        ]
        supervisor = Supervisor(parts, on_exit=exits.append, stop_seconds=stop_seconds)
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop()


def test_a_killed_part_is_started_again_and_reported(supervise, exits):
    """Kill -9 of a part leads to a report with the signal's name and to a new process."""
    supervisor = supervise(sleeper="import time; time.sleep(60)")
    first = supervisor.pids()["sleeper"]
    os.kill(first, signal.SIGKILL)
    _until(lambda: supervisor.check_parts() or supervisor.pids().get("sleeper", first) != first)
    assert [(ended.part.name, ended.ended_by, ended.restarts) for ended in exits] == [
        ("sleeper", "signal SIGKILL", 1)
    ]


def test_a_part_that_keeps_dying_is_started_at_growing_intervals(supervise, exits):
    """The wait doubles with each end, so that a broken part does not use up a core."""
    supervisor = supervise(broken="raise SystemExit(3)")
    _until(lambda: supervisor.check_parts() or len(exits) >= 3)
    assert [ended.wait for ended in exits[:3]] == [0.5, 1.0, 2.0]
    assert exits[0].ended_by == "exit status 3"


_WITHOUT_PROCESSES = """
import os, resource, signal, sys, time
from service.system.supervisor import Part, Supervisor

os.setuid(31999)  # the limit counts by user, and does not bind root
exits = []
command = ("/bin/sleep", "60")
supervisor = Supervisor([Part(name="part", command=command)], on_exit=exits.append)
supervisor.start()
soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
os.kill(supervisor.pids()["part"], signal.SIGKILL)
while len(exits) < 3:
    supervisor.check_parts()
    time.sleep(0.01)
assert not supervisor.pids()
resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
while not supervisor.pids():
    supervisor.check_parts()
    time.sleep(0.01)
supervisor.stop()
for each in exits:
    print(each.restarts, each.wait, each.text)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become a user without processes")
def test_a_machine_that_starts_no_process_now_is_asked_again():
    """Each failed fork (EAGAIN) is reported with a growing wait, and the part starts when one works."""
    found = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PROCESSES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.stdout.splitlines() == [
        "1 0.5 ended by signal SIGKILL",
        "1 1.0 could not be started again: Resource temporarily unavailable",
        "1 2.0 could not be started again: Resource temporarily unavailable",
    ], found.stderr


def test_a_part_that_asks_to_be_replaced_reports_it(supervise, exits):
    """Its own exit status is reported as text, for the incidents on the page."""
    supervisor = supervise(hung=f"raise SystemExit({REPLACE_ME})")
    _until(lambda: supervisor.check_parts() or exits)
    assert exits[0].ended_by == "exit status 75 (it requested its replacement)"


def test_a_child_knows_how_often_it_was_started_again(supervise, tmp_path):
    """The count is in its environment from the first start on."""
    note = tmp_path / "count"
    source = (
        "import os, time, pathlib\n"
        f"pathlib.Path({str(note)!r}).write_text(os.environ['WETREAD_RESTARTS'])\n"
        "time.sleep(60)"
    )
    supervisor = supervise(part=source)
    assert _until(lambda: note.exists() and note.read_text()) == "0"
    os.kill(supervisor.pids()["part"], signal.SIGKILL)
    assert _until(lambda: supervisor.check_parts() or note.read_text().strip("0")) == "1"


def test_stop_ends_even_a_part_that_ignores_the_signal(supervise, tmp_path):
    """A part that does not stop within the limit is killed; no process is left."""
    ready = tmp_path / "ready"
    supervisor = supervise(
        stop_seconds=0.5,
        stubborn=(
            "import signal, time, pathlib\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            f"pathlib.Path({str(ready)!r}).touch()\n"
            "time.sleep(60)"
        ),
    )
    _until(ready.exists)
    supervisor.stop()
    assert supervisor.pids() == {}


def test_parts_end_with_a_killed_supervisor(tmp_path):
    """Kill -9 of the supervisor itself leaves no part running."""
    note = tmp_path / "pid"
    part = (
        "import os, time, pathlib\n"
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    source = (
        "import sys, time\n"
        "from service.system.supervisor import Part, Supervisor\n"
        f"part = Part(name='p', command=(sys.executable, '-c', {part!r}))\n"
        "Supervisor([part], on_exit=print).start()\n"
        "time.sleep(60)"
    )
    owner = Part(name="owner", command=(sys.executable, "-c", source))
    supervisor = Supervisor([owner], on_exit=print)
    supervisor.start()
    child = int(_until(lambda: note.exists() and note.read_text()))
    os.kill(supervisor.pids()["owner"], signal.SIGKILL)
    assert _until(lambda: not _runs(child))
    supervisor.stop()


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("before", [None, 0o755])
def test_the_run_folder_is_closed_to_everybody_else(tmp_path, before):
    """It holds addresses and the broker's password: only its owner may read it."""
    folder = tmp_path / "run"
    if before is not None:
        folder.mkdir(mode=before)
    with sole_owner(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
