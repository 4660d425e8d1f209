"""Each kind of destination: what is sent, verified, missing, changed or unavailable."""

import contextlib
import socket
import threading
import time

import httpx
import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    generate_uid,
)

from dicom.destinations.destination import EncodedObject
from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import (
    DestinationRejected,
    DestinationUnavailable,
    InvalidIdentifier,
)
from tests.dicom.destinations.sending import (
    dimse_destination,
    encoded,
    report_object,
    rest_destination,
    sending,
    stow_destination,
    verifying,
)


def test_what_is_sent_can_be_read_back(destination, objects):
    """A destination that answers stores and lists the objects, and a second send changes nothing."""
    destination.probe()
    with pytest.raises(DestinationUnavailable):
        destination.verify(objects)
    destination.send(objects)
    destination.verify(objects)
    destination.send(objects)
    destination.verify(objects)


def test_what_was_not_sent_is_missed(destination, objects):
    """An absent object is reported as missing, and may still arrive."""
    destination.send(objects[:1])
    with pytest.raises(DestinationUnavailable, match=objects[1].sop_instance_uid):
        destination.verify(objects)


def test_a_changed_result_is_never_sent(destination, objects):
    """A changed file of the outbox is refused before anything is sent."""
    objects[0].path.write_bytes(objects[0].path.read_bytes()[:-2])
    with pytest.raises(DestinationRejected, match="changed after it was made"):
        destination.send(objects)
    with pytest.raises((DestinationRejected, DestinationUnavailable)):
        destination.verify(objects[1:])


def test_a_lost_result_is_reported(destination, objects):
    """The message about a missing file of the outbox says what to do."""
    objects[0].path.unlink()
    with pytest.raises(DestinationRejected, match="read the study again"):
        destination.send(objects)


def test_a_result_without_valid_uids_cannot_be_made(objects):
    """A UID that would lead out of a folder is refused."""
    with pytest.raises(InvalidIdentifier):
        EncodedObject(
            sop_class_uid=BasicTextSRStorage,
            sop_instance_uid="../../etc/passwd",
            series_instance_uid=objects[0].series_instance_uid,
            study_instance_uid=objects[0].study_instance_uid,
            path=objects[0].path,
            sha256="",
        )


def test_an_archive_that_transcodes_still_holds_the_object(
    tmp_path_factory, orthanc_server_class, objects
):
    """An Orthanc that compresses stored objects returns other bytes, which is no fault."""

    class Transcoding(orthanc_server_class):
        def configuration(self):
            return {**super().configuration(), "IngestTranscoding": "1.2.840.10008.1.2.4.70"}

    server = Transcoding(tmp_path_factory.mktemp("transcoding"))
    server.start()
    try:
        for destination in (
            rest_destination(server),
            stow_destination(server),
            dimse_destination(server.dicom_port),
        ):
            destination.send(objects)
            destination.verify(objects)
        lookup = httpx.post(f"{server.url}/tools/lookup", content=objects[1].sop_instance_uid)
        kept = httpx.get(f"{server.url}/instances/{lookup.json()[0]['ID']}/file").content
        assert kept != objects[1].path.read_bytes(), "the archive did not transcode: no test of it"
    finally:
        server.stop()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda port: dimse_destination(port, timeout=1), id="dimse"),
        pytest.param(
            lambda port: OrthancDestination(name="pacs", url=f"http://127.0.0.1:{port}", timeout=1),
            id="rest",
        ),
        pytest.param(
            lambda port: StowDestination(
                name="pacs", url=f"http://127.0.0.1:{port}/dicom-web", timeout=1
            ),
            id="stow",
        ),
    ],
)
class TestAway:
    """A destination that is down, silent or sends invalid answers."""

    def test_nothing_listening(self, make, free_port, objects):
        """A refused connection is unavailable for each of the three calls and names the destination."""
        destination = make(free_port())
        for call in (
            destination.probe,
            sending(destination, objects),
            verifying(destination, objects),
        ):
            with pytest.raises(DestinationUnavailable, match=r"pacs.*127\.0\.0\.1"):
                call()

    @pytest.mark.serial
    def test_a_silent_server(self, make, objects):
        """A server that accepts and never answers costs one timeout, not one for each try."""
        with socket.create_server(("127.0.0.1", 0)) as mute:
            destination = make(mute.getsockname()[1])
            for call in (destination.probe, sending(destination, objects)):
                started = time.monotonic()
                with pytest.raises(DestinationUnavailable, match="pacs"):
                    call()
                assert time.monotonic() - started < 4

    def test_a_server_that_hangs_up(self, make, objects):
        """A connection that ends at once is unavailable."""
        with _hanging_up() as port:
            destination = make(port)
            for call in (destination.probe, sending(destination, objects)):
                with pytest.raises(DestinationUnavailable, match="pacs"):
                    call()


@contextlib.contextmanager
def _hanging_up():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_an_orthanc_that_comes_back_takes_the_objects(
    tmp_path_factory, orthanc_server_class, objects
):
    """The same destination object works again after the server was killed and started anew."""
    server = orthanc_server_class(tmp_path_factory.mktemp("restarted"))
    server.start()
    destinations = [
        rest_destination(server),
        stow_destination(server),
        dimse_destination(server.dicom_port),
    ]
    try:
        destinations[0].send(objects)
        server.kill()
        for destination in destinations:
            with pytest.raises(DestinationUnavailable):
                destination.send(objects)
        server.start()
        for destination in destinations:
            destination.send(objects)
            destination.verify(objects)
    finally:
        server.stop()


def test_eight_threads_may_share_a_destination(destination, tmp_path):
    """Deliveries at the same time by one destination object all arrive."""
    batches = []
    for number in range(8):
        study = generate_uid()
        batches.append(
            [encoded(tmp_path / f"{number}.dcm", report_object(study, f"Draft {number}."))]
        )
    errors = []

    def deliver(batch):
        try:
            destination.send(batch)
            destination.verify(batch)
        except (DestinationUnavailable, DestinationRejected) as error:
            errors.append(error)

    threads = [threading.Thread(target=deliver, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
