"""The listener when the machine lacks memory, threads or sockets."""

import errno
import selectors
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.refusals import Cause, NotAccepted
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool

WITHOUT_THREADS = """
import resource, socket, tempfile
from pathlib import Path
from types import SimpleNamespace
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool

scp = StorageSCP(ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0), Spool(
    Path(tempfile.mkdtemp()), max_object_bytes=2**20), SimpleNamespace(record=None))
scp.start()

def answered():
    with socket.create_connection(("127.0.0.1", scp.port), 20) as connection:
        connection.sendall(bytes(10))  # a PDU of no type
        return connection.recv(64)[:1] == bytes([7])

before = resource.getrlimit(resource.RLIMIT_AS)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, before[1]))  # no stack of a thread fits in
try:
    print("without", answered())
except ConnectionResetError:
    print("without", False)
resource.setrlimit(resource.RLIMIT_AS, before)
print("with", answered())
"""


def test_a_connection_for_which_there_is_no_thread_is_closed_and_the_next_one_is_served():
    """A machine at its limit of threads does not end the listener."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[0] == "without False", done.stderr
    assert done.stdout.splitlines()[1].startswith("with True"), done.stderr
    assert "no thread is left" in done.stderr


class _FullSelector(selectors.DefaultSelector):
    """A selector that the kernel allows two sockets, the listener's own; then ENOSPC, as epoll."""

    def register(self, *args, **kwargs):
        if len(self.get_map()) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().register(*args, **kwargs)


@pytest.mark.filterwarnings("error")
def test_a_connection_that_cannot_be_watched_is_closed_and_reported(monkeypatch, tmp_path, caplog):
    """fs.epoll.max_user_watches is reached: the log and the report both state the address."""
    monkeypatch.setattr(selectors, "DefaultSelector", _FullSelector)
    reports = []
    spool = Spool(tmp_path, max_object_bytes=2**20)
    settings = ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0)
    scp = StorageSCP(settings, spool, SimpleNamespace(record=None), report=reports.append)
    scp.start()
    try:
        with socket.create_connection(("127.0.0.1", scp.port), 20) as connection:
            connection.settimeout(20)
            assert connection.recv(1) == b""
    finally:
        scp.stop(5)
    cause = Cause.CONNECTION_LIMIT
    assert reports == [NotAccepted(cause=cause, calling_ae="", address="127.0.0.1")]
    assert "a connection from 127.0.0.1 was closed: No space left on device" in caplog.text
