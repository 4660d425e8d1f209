"""What becomes of a part of a STOW-RS request."""

import asyncio
import contextlib
import threading
import time

from dicom.dicomweb.stow_request import Part
from dicom.errors import PROCESSING_FAILURE
from dicom.spool.incoming_file import Announced, Incoming
from service.stow import upload as module
from service.stow.upload import Upload

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
        """Take what comes."""

    def advance(self, _, parts):
        """Add the part, after a while."""
        self.writes.set()
        time.sleep(0.3)
        self.did.append("advanced")
        parts.extend(self._parts.pop(0))

    def end(self):
        """Be whole."""

    def discard(self):
        """Remember when that was."""
        self.did.append("discarded")


class Body:
    """A request whose body is a byte."""

    async def receive(self):
        """Return it."""
        return {"type": "http.request", "body": b"x", "more_body": False}


def test_an_upload_that_is_canceled_waits_for_the_thread_that_writes(tmp_path):
    """It would close the file under it; and what the thread returns then is nobody's any more."""
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
    """An unexpected error is answered 0x0110, told without its words, and leaves no file."""
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
