"""The short form of `benchmarks/faults.py`: every kind of fault once, under load; and its checks."""

import contextlib
import dataclasses
import hashlib
import importlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pydicom
import pytest
from pynetdicom.sop_class import SecondaryCaptureImageStorage

from dicom.destinations.destination import EncodedObject
from dicom.destinations.dimse import DimseDestination
from dicom.errors import NotListed
from dicom.phantom import as_dataset, draw, write
from dicom.scu.association import Peer

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"
KINDS = 40
NOT_POSSIBLE = 77
PATIENTS = {"1.1": ("A",), "1.2": ("B",)}


@pytest.mark.serial
@pytest.mark.orthanc
@pytest.mark.dcmtk
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("orthanc_server_class", "dcmtk")
def test_no_acknowledged_image_is_lost_doubled_or_filed_under_another_patient():
    """With any fault there is one draft a study and revision in the PACS, without a manual step."""
    load = ["--senders", "2", "--pause", "3", "--seed", "4"]
    faults = ["--faults", str(KINDS), "--every", "0.7", "--scale", "0.1"]
    waits = ["--settle", "120", "--tidy", "0", "--apart", "0"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *load, *faults, *waits], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 promises broken" in done.stdout


@pytest.mark.serial
@pytest.mark.orthanc
@pytest.mark.dcmtk
@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.usefixtures("orthanc_server_class", "dcmtk")
def test_a_silent_or_slow_destination_delays_no_other_and_copies_have_a_limit():
    """While the second PACS misbehaves alone, the first gets every result in time."""
    load = ["--faults", "1", "--pause", "4", "--seed", "5", "--tidy", "0"]
    arguments = [*load, "--apart", "8", "--second-timeout", "14"]
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("results for the first") == 3
    assert "objects, 3 copies at the most" in done.stdout


@pytest.fixture
def fault_injection(monkeypatch):
    """What imports a module of the harness."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return lambda name: importlib.import_module(f"fault_injection.{name}")


@pytest.fixture
def site_of_two(fault_injection):
    """Two studies that were acknowledged, and the objects that the PACS should hold."""
    load, stored = fault_injection("load"), fault_injection("stored")

    def image(uid, view="PA"):
        path = Path(f"{uid}.dcm")
        return load.SentImage(path=path, sop_instance_uid=uid, view=view, picture=0, acknowledged=1)

    def draft(study, revision, about):
        return stored.Draft(
            study_instance_uid=study,
            sop_instance_uid=f"{study}.9.{revision}",
            patient=PATIENTS[study],
            sha256="",
            revision=revision,
            image=about,
            findings=("The lungs are clear.",),
        )

    first = load.SentStudy(
        study_instance_uid="1.1", patient=PATIENTS["1.1"], images=[image("1.1.1")]
    )
    images = [image("1.2.1", "AP"), image("1.2.2")]
    later = load.SentStudy(study_instance_uid="1.2", patient=PATIENTS["1.2"], images=images)
    drafts = [draft("1.1", 1, "1.1.1"), draft("1.2", 1, "1.2.1"), draft("1.2", 2, "1.2.2")]
    page = stored.Stored(
        study_instance_uid="1.1", sop_instance_uid="1.1.8", patient=PATIENTS["1.1"], sha256=""
    )
    return [first, later], [*drafts, page]


@pytest.fixture
def judged(fault_injection, site_of_two):
    """A function that returns the broken guarantees of the verification."""
    return lambda stored: list(fault_injection("verification").misjudged(site_of_two[0], stored))


def test_the_account_has_nothing_against_what_is_as_it_should_be(judged, site_of_two):
    """One draft for each revision, under its patient, the last about the image to be read."""
    assert judged(site_of_two[1]) == []


@pytest.mark.parametrize(
    ("which", "harm", "fault"),
    [
        (0, {"patient": ("B",)}, "under another patient"),
        (3, {"patient": ("B",)}, "under another patient"),
        (0, {"image": "1.2.2"}, "about an image of another study"),
        (0, {"study_instance_uid": "1.3"}, "of a study that was not sent"),
        (1, {"findings": ("There is an effusion.",), "image": "1.2.2"}, "2 different texts"),
        (1, {"revision": 2}, "2 drafts of revision 2"),
        (2, {"image": "1.2.1"}, "not about the image to be read"),
    ],
)
def test_the_account_names_each_thing_that_is_wrong(judged, site_of_two, which, harm, fault):
    """An object of another patient, study, image, text or revision does not pass."""
    stored = list(site_of_two[1])
    stored[which] = dataclasses.replace(stored[which], **harm)
    assert any(fault in each for each in judged(stored))


def test_the_account_misses_a_draft_that_is_not_there(judged, site_of_two):
    """An acknowledged study without a draft in the PACS is a broken guarantee."""
    assert judged(site_of_two[1][1:]) == ["study 1.1: acknowledged, and no draft in the PACS"]


def test_the_account_names_what_an_archive_that_changes_uids_has_too_often(
    fault_injection, site_of_two
):
    """As many copies as the limit are no fault, one more is."""
    flooded, page = fault_injection("second_verification").flooded, site_of_two[1][3]
    assert list(flooded({"1": [page] * 3, "2": [page]}, 3)) == []
    assert list(flooded({"1": [page] * 4, "2": [page]}, 3)) == [
        "object 1: 4 copies in an archive that changes UIDs"
    ]


@pytest.fixture
def forwarder(fault_injection):
    """A forwarder before a server that echoes its input, and how to connect to it."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=_echo, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=echo, daemon=True).start()
    made = fault_injection("slow_peer").Forwarder(server.getsockname()[1])
    connections = []

    def connect():
        connections.append(socket.create_connection(("127.0.0.1", made.port), 5))
        return connections[-1]

    yield made, connect
    for each in (*connections, made, server):
        each.close()


def _echo(connection):
    with contextlib.suppress(OSError), connection:
        while received := connection.recv(2**16):
            connection.sendall(received)


def _answer(connection, sent, seconds):
    """Return the bytes echoed of `sent` within the seconds."""
    connection.sendall(sent)
    received, deadline = b"", time.monotonic() + seconds
    while len(received) < len(sent) and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        with contextlib.suppress(TimeoutError):
            received += connection.recv(2**16)
    return received


@pytest.mark.serial
def test_a_silent_peer_accepts_and_passes_nothing(forwarder):
    """Open connections stay silent afterwards; a new connection is forwarded."""
    made, connect = forwarder
    connection = connect()
    assert _answer(connection, b"before", 5) == b"before"
    made.manner = "silent"
    assert _answer(connection, b"during", 0.5) == b""
    assert _answer(connect(), b"new", 0.5) == b""
    assert made.harmed >= 2
    made.manner = "forwards"
    assert _answer(connection, b"after", 0.5) == b""
    assert _answer(connect(), b"after", 5) == b"after"


@pytest.mark.serial
@pytest.mark.parametrize("manner", ["slow answers", "slow requests"])
def test_a_slow_peer_passes_a_byte_a_second(forwarder, manner):
    """Two and a half seconds are two bytes; back to normal, the rest comes at once."""
    made, connect = forwarder
    made.manner = manner
    connection = connect()
    assert _answer(connection, b"0123456789", 2.5) in (b"0", b"01")
    made.manner = "forwards"
    assert _answer(connection, b"x", 5) != b""


def test_an_archive_that_changes_uids_acknowledges_and_lists_nothing(fault_injection, tmp_path):
    """The object has a UID that is never requested; afterwards it is kept under its own and listed."""
    path = write(as_dataset(draw(1, rows=64, columns=64)), tmp_path / "object.dcm")
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.save_as(path)
    item = EncodedObject(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        study_instance_uid=str(dataset.StudyInstanceUID),
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    archive = fault_injection("second_pacs").SecondPacs()
    peer = Peer(host="127.0.0.1", port=archive.link.port, called="SECOND", timeout=10)
    destination = DimseDestination(peer)
    try:
        with archive.changing_uids():
            destination.send([item])
            with pytest.raises(NotListed):
                destination.verify([item])
        assert archive.renamed == 1
        destination.send([item])
        destination.verify([item])
        assert list(archive.kept) == [item.sop_instance_uid]
        assert archive.others == []
    finally:
        archive.close()


_CUT = """
import random, socket, types
from fault_injection.silent_cut import cut, enter_own_network
if not enter_own_network():
    raise SystemExit(77)
server = socket.create_server(("127.0.0.1", 0))
address = server.getsockname()
def exchange():
    with socket.create_connection(address, 1) as client:
        server.accept()[0].sendall(b"1")
        return client.recv(1)
assert exchange() == b"1"
with cut(types.SimpleNamespace(), random.Random(1), port=lambda _: address[1]) as question:
    try:
        exchange()
    except TimeoutError:
        print("silent", int(question()))
assert exchange() == b"1"
print("healed")
"""


def test_a_silent_cut_drops_packets_and_states_that_it_did():
    """A connection is neither refused nor accepted; afterwards it is."""
    done = subprocess.run(
        [sys.executable, "-c", _CUT], cwd=SCRIPT.parent, capture_output=True, text=True
    )
    if done.returncode == NOT_POSSIBLE:
        pytest.skip("packets cannot be dropped here (needs root and nft)")
    assert done.stdout.split() == ["silent", "1", "healed"], done.stderr
