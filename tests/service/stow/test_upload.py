"""The results of the parts of a STOW-RS request."""

import asyncio
import contextlib
import sqlite3
import threading
import time

import pytest

from dicom.dicomweb.stow_request import Part
from dicom.errors import PROCESSING_FAILURE
from dicom.spool.incoming_file import Announced, Incoming
from service.stow import upload
from service.stow import upload as module
from service.stow.upload import Upload
from tests.service.stow.requests import GOOD, body, image, raw, reasons


@pytest.mark.parametrize(
    ("content", "status", "kept"),
    [
        (b"", 400, 0),
        (b"--frontier--\r\n", 400, 0),
        (GOOD, 400, 0),
        (GOOD + b"--frontier\r\n\r\n" + image(2)[:4000], 400, 1),
        (GOOD + b"--frontier\r\nX: " + b"x" * 100_000, 400, 1),
        (GOOD + b"--frontier\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 400, 1),
        (
            b"--frontier\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--frontier--",
            409,
            0,
        ),
        (b"--frontier\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--frontier--", 409, 0),
        (body(b""), 409, 0),
        (body(image(1)[:200]), 409, 0),
        (body(image(1)[:128] + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" + b"1" * 70_000), 409, 0),
    ],
)
def test_a_broken_body_leaves_only_its_whole_parts(endpoint, content, status, kept):
    """A complete part is kept, as its sender may ask again; an incomplete one is not."""
    assert endpoint.post(content).status_code == status
    assert len(endpoint.images()) == kept
    assert endpoint.leftovers() == []


def test_ten_thousand_parts_are_too_many(endpoint):
    """413 after the last accepted part, and no memory used for the rest."""
    assert endpoint.post(body(*[b"x"] * 10_000)).status_code == 413
    assert endpoint.leftovers() == []


def test_a_body_that_is_too_long_is_refused_however_it_comes(make_endpoint_at):
    """By its Content-Length before it is read, in chunks when it has become too long."""
    endpoint = make_endpoint_at(stow={"port": 0, "max_request_bytes": 2**20})
    long = body(image(1), image(2, side=1000))
    assert endpoint.post(long).status_code == 413
    assert endpoint.images() == []
    pieces = (long[at : at + 65536] for at in range(0, len(long), 65536))
    assert endpoint.post(pieces).status_code == 413
    assert endpoint.leftovers() == []


def test_an_object_that_is_too_long_fails_alone(make_endpoint_at):
    """A limit of 1 MiB an object: the long one fails, those around it are stored."""
    receiver = {
        "min_free_bytes": 0,
        "max_object_bytes": 2**20,
        "callers": [{"ae_title": "MODALITY"}],
    }
    endpoint = make_endpoint_at(receiver=receiver)
    response = endpoint.post(body(image(1), image(2, side=1000), image(3)))
    assert (response.status_code, reasons(response)) == (202, [0xC000])
    assert len(endpoint.images()) == 2
    assert endpoint.leftovers() == []


def test_a_disk_that_fills_up_keeps_nothing_half(small_disk, make_endpoint_at):
    """An image longer than the room that is left: 503, nothing of it stays, a short one is taken."""
    endpoint = make_endpoint_at(data_dir=small_disk / "site")
    response = endpoint.post(body(image(1, side=1200)))
    assert (response.status_code, reasons(response)) == (503, [0xA700])
    assert endpoint.leftovers() == endpoint.images() == []
    assert endpoint.post(body(image(2))).status_code == 200


def test_a_database_that_takes_nothing_is_reported_and_nothing_is_kept(make_endpoint_at):
    """Another program holds SQLite's only writer: 503, no file; afterwards it works by itself."""
    endpoint = make_endpoint_at(database={"busy_seconds": 0.2})
    assert endpoint.post(body(image(1))).status_code == 200
    other = sqlite3.connect(endpoint.settings.data_dir / "wetread.db")
    other.execute("BEGIN IMMEDIATE")
    refused = endpoint.post(body(image(2)))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert len(endpoint.images()) == 1
    other.rollback()
    other.close()
    wait = threading.Event()
    while endpoint.post(body(image(2))).status_code != 200:
        wait.wait(0.1)
    assert len(endpoint.images()) == 2


def test_a_sender_that_goes_away_leaves_only_what_came_whole(endpoint, eventually):
    """A wrong Content-Length, and a closed connection: the whole part stays, the half does not."""
    with raw(endpoint, b"Content-Length: 50000000") as connection:
        connection.sendall(GOOD + b"--frontier\r\n\r\n" + image(2, side=1500))
        eventually(lambda: len(endpoint.leftovers()) == 1, seconds=20, what="the second image")
    eventually(lambda: not endpoint.leftovers(), seconds=20, what="the end")
    assert len(endpoint.images()) == 1
    assert endpoint.store.jobs() == []
    assert endpoint.post(body(image(3))).status_code == 200


def test_a_sender_that_is_too_slow_is_informed(endpoint, monkeypatch):
    """408 when it took longer than the time for its bytes."""
    monkeypatch.setattr(upload, "_WAIT_SECONDS", 0.3)
    with raw(endpoint, b"Content-Length: 50000") as connection:
        connection.sendall(b"--frontier\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


ANNOUNCED = Announced(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    sop_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    source_ae="TEST",
)


class OnePart:
    """Stands for a PartStream to which one part comes, slowly."""

    def __init__(self, part: Part) -> None:
        self.did = []
        self.writes = threading.Event()
        self._parts = [[part], []]

    def feed(self, *_):
        """Accept the bytes."""

    def advance(self, _, parts):
        """Add the part, after a while."""
        self.writes.set()
        time.sleep(0.3)
        self.did.append("advanced")
        parts.extend(self._parts.pop(0))

    def end(self):
        """Count as complete."""

    def discard(self):
        """Record the time."""
        self.did.append("discarded")


class Body:
    """A request whose body is a byte."""

    async def receive(self):
        """Return it."""
        return {"type": "http.request", "body": b"x", "more_body": False}


def test_an_upload_that_is_canceled_waits_for_the_thread_that_writes(tmp_path):
    """It would close the file under it; and the thread's result then has no reader."""
    path, kept = tmp_path / "image.part", []
    parts = OnePart(Part(incoming=Incoming(path, ANNOUNCED, max_bytes=1000), fault=None))
    upload = Upload(parts, keep=kept.append, interrupted=lambda: None, max_bytes=1000)

    async def stop():
        task = asyncio.create_task(upload.run(Body()))
        await asyncio.to_thread(parts.writes.wait, 10)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(stop())
    assert parts.did == ["advanced", "discarded"]
    assert kept == []
    assert not path.exists()


def test_a_part_for_which_no_thread_is_left_may_be_sent_again(tmp_path, monkeypatch):
    """It is answered 0xA700, and its file is not left behind in a process that continues."""
    path, kept = tmp_path / "image.part", []
    parts = OnePart(Part(incoming=Incoming(path, ANNOUNCED, max_bytes=1000), fault=None))
    upload = Upload(parts, keep=kept.append, interrupted=lambda: None, max_bytes=1000)

    async def refused(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module.to_thread, "run_sync", refused)
    monkeypatch.setattr(module, "run_in_threadpool", asyncio.to_thread)
    (outcome,) = asyncio.run(upload.run(Body()))
    assert (outcome.failure_reason, outcome.transient) == (0xA700, True)
    assert outcome.sop_instance_uid == "1.2.3"
    assert kept == []
    assert not path.exists()


def test_a_bug_does_not_end_as_stored(tmp_path, caplog):
    """An unexpected error is answered 0x0110, reported without its message, and leaves no file."""
    name = "DOE^JANE"

    def keep(_: Incoming) -> None:
        raise KeyError(name)

    path = tmp_path / "image.part"
    incoming = Incoming(path, ANNOUNCED, max_bytes=1000)
    assert path.exists()
    upload = Upload(None, keep=keep, interrupted=lambda: None, max_bytes=1000)
    outcome = upload._store(Part(incoming=incoming, fault=None))
    assert (outcome.failure_reason, outcome.transient) == (PROCESSING_FAILURE, False)
    assert outcome.sop_instance_uid == "1.2.3"
    assert not path.exists()
    assert "KeyError" in caplog.text
    assert "DOE" not in caplog.text
