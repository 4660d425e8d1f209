"""The listener: its limits, its end, and a machine that lacks memory, threads or sockets."""

import errno
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace

import pytest

from dicom.parsing.header import check_identity, read_header
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.refusals import Cause, NotAccepted
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool
from tests.dicom.scp.sending import (
    CR,
    EXPLICIT,
    associate,
    association_request,
    dataset_bytes,
    files,
    request_association,
    send_file,
    send_raw,
    started,
)


def test_32_associations_at_once_are_all_served(scp, handler, spool, small_image):
    """At a peak load each of 32 senders gets Success for its own image."""
    content = dataset_bytes(small_image)
    uid = check_identity(read_header(small_image)).sop_instance_uid

    def send(number: int) -> int:
        own = f"{uid[:-3]}{number + 100}"
        link = associate(scp, (CR, EXPLICIT), calling=f"CR{number}")
        assert link.is_established
        image = content.replace(uid.encode(), own.encode())
        response = send_raw(link, image, sop_class=CR, uid=own, syntax=EXPLICIT)
        link.release()
        return response.Status

    with ThreadPoolExecutor(32) as threads:
        assert set(threads.map(send, range(32))) == {0}
    assert len({instance.sop_instance_uid for instance in handler.instances}) == 32
    assert len(files(spool)) == 32


def test_256_associations_at_once_are_accepted_by_default(spool, handler):
    """All at the same time, none refused; the next one gets the rejection for the limit."""
    server = started(spool, handler)
    connections = []
    try:
        for _ in range(256):
            connections.append(socket.create_connection(("127.0.0.1", server.port), 10))
            connections[-1].sendall(association_request())
        assert {connection.recv(4096)[0] for connection in connections} == {2}  # A-ASSOCIATE-AC
        assert request_association(server) == struct.pack(">BxLxBBB", 3, 4, 2, 3, 2)
    finally:
        for connection in connections:
            connection.close()
        server.stop(5)


def test_one_association_too_many_is_rejected_as_over_the_local_limit(spool, handler):
    """The limit causes a transient rejection that states it."""
    server = started(spool, handler, max_associations=2)
    links = [associate(server, (CR, EXPLICIT)) for _ in range(2)]
    try:
        assert all(link.is_established for link in links)
        assert request_association(server) == struct.pack(">BxLxBBB", 3, 4, 2, 3, 2)
    finally:
        for link in links:
            link.release()
        server.stop(5)


def test_a_silent_connection_that_sends_as_it_is_closed_ends_no_other(spool, handler):
    """One poll of the sockets sees its byte and the connection for which it is closed."""
    server = started(spool, handler, max_associations=1)
    selector, looking, look = server._server._selector, threading.Event(), threading.Event()
    select = selector.select

    def held(timeout):
        looking.set()
        assert look.wait(10)
        return select(timeout)

    silent = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(3)]
    try:
        selector.select = held
        silent.append(socket.create_connection(("127.0.0.1", server.port), 10))
        assert looking.wait(10)
        silent.append(socket.create_connection(("127.0.0.1", server.port), 10))
        silent[0].sendall(b"\x01")
        look.set()
        assert silent[0].recv(1) == b""
    except ConnectionResetError:
        pass  # closed with its byte unread
    finally:
        for connection in silent:
            connection.close()
    assert request_association(server)[0] == 2
    assert not server.has_stopped_listening
    server.stop(5)


def test_a_connection_that_the_machine_cannot_watch_is_closed_and_the_next_is_served(
    spool, handler, caplog
):
    """As at fs.epoll.max_user_watches."""
    server = started(spool, handler)
    selector = server._server._selector
    register = selector.register
    assert request_association(server)[0] == 2  # it listens

    def refuse(*_):
        selector.register = register
        raise OSError(errno.ENOSPC, "No space left on device")

    selector.register = refuse
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        assert connection.recv(1) == b""
    assert "was closed: No space left on device" in caplog.text
    assert request_association(server)[0] == 2
    assert not server.has_stopped_listening
    server.stop(5)


@pytest.mark.serial
@pytest.mark.parametrize("broken_too", ["_begin", "_close_oldest", "server_close"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_ends_by_a_fault_reports_it(spool, handler, eventually, broken_too):
    """A supervisor can start a new one, even if it cannot clean up; stopping it returns."""
    server = started(spool, handler)

    def broken(*_):
        raise KeyError("socket")

    listener = server._server
    tidy = getattr(listener, broken_too)
    listener._accept = broken
    setattr(listener, broken_too, broken)
    assert not server.has_stopped_listening
    # Its port is closed at once, perhaps before the connection is established.
    with suppress(ConnectionResetError):
        socket.create_connection(("127.0.0.1", server.port), 10).close()
    eventually(lambda: server.has_stopped_listening, seconds=10, what="the end of the listener")
    eventually(
        lambda: all(thread.name != "listener" for thread in threading.enumerate()),
        seconds=10,
        what="the end of its thread",
    )
    setattr(listener, broken_too, tidy)
    began = time.monotonic()
    server.stop(1)
    assert time.monotonic() - began < 5


def test_an_orderly_stop_lets_the_image_in_transfer_finish(spool, handler, small_image):
    """After stop() no association is accepted; open ones get Success for a durable image."""
    server = started(spool, handler)
    handler.wait.clear()
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(send_file, server, small_image)
        while not handler.admitted or not files(spool):
            time.sleep(0.01)
        stopped = threads.submit(server.stop, 20)
        time.sleep(0.4)
        assert not stopped.done()
        assert not associate(server, (CR, EXPLICIT)).is_established
        handler.wait.set()
        assert answer.result(20).Status == 0
        stopped.result(20)
    assert [outcome for _, outcome in handler.ends] == ["released"]


@pytest.mark.serial
def test_a_stop_aborts_who_does_not_finish(spool, handler):
    """An association that stays open delays the stop no longer than its limit."""
    server = started(spool, handler)
    link = associate(server, (CR, EXPLICIT))
    began = time.monotonic()
    server.stop(0.5)
    assert time.monotonic() - began < 4
    assert [outcome for _, outcome in handler.ends] == ["broken"]
    link.abort()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="http"),
        pytest.param(b"\x01\x00\xff\xff\xff\xff" + bytes(100), id="length of 4 GiB"),
        pytest.param(b"\x04\x00\x00\x00\x00\x10" + bytes(16), id="data before association"),
        pytest.param(b"\x09" * 64, id="unknown PDU"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_garbage_ends_its_own_connection_only(scp, small_image, garbage):
    """Bytes that are no DICOM get no useful answer, and the next image is stored."""
    with socket.create_connection(("127.0.0.1", scp.port), 5) as connection:
        connection.sendall(garbage)
    assert send_file(scp, small_image).Status == 0


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
    """A machine at its limit of threads does not stop the listener."""
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
