"""SIGHUP, SIGINT and SIGTERM in every process that serves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database
from tests.servers import ended_with_us

SETTINGS = """
data_dir = "{folder}/data"
{broker}
[receiver]
host = "127.0.0.1"
port = {dicom}
processes = {processes}
min_free_bytes = 0
stop_seconds = 5
[[receiver.callers]]
ae_title = "FIRST"
[web]
port = 0
[stow]
port = {stow}
[hl7]
port = 0
[[destinations]]
kind = "folder"
name = "out"
path = "{folder}/out"
"""
SECOND = '\n[[receiver.callers]]\nae_title = "SECOND"\n'
WRONG = '\n[[receiver.callers]]\nae_title = "THIRD"\nquiet = 1\n'

# The command, the log line for readiness, and how often it is logged.
SERVING = {
    "up": (("up",), "worker_ready", 2),
    "receive": (("receive",), "receiver_listening", 1),
    "two receivers": (("receive",), "receiver_listening", 2),
    "receive-web": (("receive-web",), "web_listening", 1),
    "receive-hl7": (("receive-hl7",), "web_listening", 1),
    "web": (("web",), "web_listening", 1),
    "reading": (("worker", "--queues", "reading"), "worker_ready", 1),
    "delivery": (("worker", "--queues", "delivery"), "worker_ready", 1),
    "both queues": (("worker",), "worker_ready", 2),
    "sweep": (("sweep",), "sweeper_started", 1),
}


class Served:
    """One `wetread` process in a folder of its own."""

    def __init__(self, folder, name, broker_url, ports):
        self.arguments, self.ready, self.count = SERVING[name]
        self.file, self.log_file = folder / "wetread.toml", folder / "log"
        self.dicom, self.stow = ports
        self.text = SETTINGS.format(
            folder=folder,
            broker="" if name == "up" else f'[broker]\nurl = "{broker_url}"',
            dicom=self.dicom,
            stow=self.stow,
            processes=2 if name == "two receivers" else 1,
        )
        self.file.write_text(self.text)
        self.settings = load_settings(self.file)
        self.settings.data_dir.mkdir()
        make_database(self.settings.database_url)
        self.process = None

    def start(self):
        """Start it; it becomes ready later."""
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                ended_with_us(
                    [sys.executable, "-m", "service.cli", *self.arguments], signal.SIGTERM
                ),
                env={**os.environ, "WETREAD_CONFIG": str(self.file)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self):
        """Return what it and its parts wrote so far."""
        return self.log_file.read_text(errors="replace")

    def is_ready(self):
        """Return whether it serves; fail if it has exited."""
        assert self.process.poll() is None, self.log()[-3000:]
        return self.log().count(self.ready) >= self.count

    def admits(self, ae_title):
        """Return whether a C-ECHO of this calling AE title succeeds."""
        command = ["echoscu", "-to", "3", "-aet", ae_title, "-aec", "WETREAD", "127.0.0.1"]
        return subprocess.run([*command, str(self.dicom)], capture_output=True).returncode == 0

    def started(self, process):
        """Return whether a folder of /proc is that of one of its processes."""
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            return False
        return f"WETREAD_CONFIG={self.file}".encode() in environment.split(b"\0")


@pytest.fixture
def serve(tmp_path, free_port, eventually, redis_server):
    """A function: name -> that process, once it is ready; all end with the test."""
    started = []

    def start(name):
        served = Served(tmp_path, name, redis_server.url, (free_port(), free_port()))
        served.start()
        started.append(served)
        eventually(served.is_ready, seconds=120, what=f"the start of {name}")
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.send_signal(signal.SIGTERM)
            served.process.wait(40)


@pytest.mark.dcmtk
@pytest.mark.parametrize("name", SERVING)
def test_a_hangup_reloads_and_ends_nothing(serve, eventually, program, name):
    """After two SIGHUPs the process serves on; receivers admit the new caller; two SIGTERMs end it."""
    program("echoscu")
    served = serve(name)
    stamp = served.file.stat()
    served.file.write_text(served.text + SECOND)
    os.utime(served.file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    for _ in range(2):
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.7)
        assert served.process.poll() is None, served.log()[-3000:]
    has_callers = name not in {"web", "receive-hl7"}
    expected = "callers=2" if has_callers else "nothing_to_reload"
    eventually(lambda: expected in served.log(), seconds=20, what="the line in the log")
    if name in {"up", "receive", "two receivers"}:
        eventually(lambda: served.admits("SECOND"), seconds=10, what="the new caller")
        assert served.admits("FIRST")
    for word in ("part_died", "receiver_died", "worker_died", "Traceback"):
        assert word not in served.log()
    _end_in_order(served, signal.SIGTERM, signal.SIGTERM)


@pytest.mark.parametrize("name", SERVING)
def test_an_interrupt_ends_it_in_order(serve, name):
    """SIGINT: exit status 0 and nothing left over."""
    _end_in_order(serve(name), signal.SIGINT)


def _end_in_order(served, *signals):
    """End a process by signals: exit status 0, no traceback, and none of its processes left."""
    for each in signals:
        served.process.send_signal(each)
        time.sleep(0.2)
    assert served.process.wait(40) == 0, served.log()[-3000:]
    assert "Traceback" not in served.log()
    assert not [process for process in Path("/proc").glob("[0-9]*") if served.started(process)]


def test_hangups_while_it_starts_end_nothing(tmp_path, free_port, eventually, redis_server):
    """`wetread up` forwards each SIGHUP to parts that have just been started."""
    served = Served(tmp_path, "up", redis_server.url, (free_port(), free_port()))
    served.start()
    try:
        address = served.settings.run_dir / "broker.url"
        eventually(address.exists, seconds=30, what="the start of `wetread up`")

        def is_ready():
            served.process.send_signal(signal.SIGHUP)
            return served.is_ready()

        eventually(is_ready, seconds=60, what="the start of its parts")
        assert "part_died" not in served.log()
    finally:
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(40) == 0


def test_callers_that_cannot_be_reloaded_stand_on_the_page_until_they_can(serve, eventually):
    """The incident names file, key and reason once, for any part; it ends with the correction."""
    served = serve("up")
    store = Store.open(served.settings)

    def faults():
        return [each for each in store.incidents(100) if each.kind == "callers_not_reloaded"]

    served.file.write_text(served.text + WRONG)
    eventually(faults, seconds=20, what="the incident")
    time.sleep(2)
    (fault,) = faults()
    assert str(served.file) in fault.subject
    assert "receiver.callers" in fault.detail
    assert "quiet" in fault.detail
    served.file.write_text(served.text + SECOND)
    eventually(lambda: not faults(), seconds=20, what="the end of the incident")
    store.close()
