"""Images received when digests were still SHA-256: found, checked and recognized after the upgrade."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import text

from dicom.parsing.header import check_identity, read_header
from dicom.scu.commitment_request import CommitmentRequest, Reference
from dicom.spool.incoming_file import Announced
from dicom.spool.ingest import IncomingAssociation, Ingest
from dicom.spool.spool import Spool
from service.database import schema
from service.database.engine import make_engine
from service.errors import StoreError
from service.maintenance.spool_check import Scope, SpoolCheck
from service.maintenance.spool_repair import Repairs
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.records import Arrival
from service.settings.config import load_settings
from service.spool_findings import Kind
from service.store import Store

_BEFORE = "0004"
_ROWS = (
    """INSERT INTO studies (study_instance_uid, calling_ae, urgent, first_arrival, last_arrival)
    VALUES (:study, 'CR1', false, '2026-03-01 09:00:00', '2026-03-01 09:00:00')""",
    """INSERT INTO instances (id, study_instance_uid, sop_instance_uid, sop_class_uid,
    series_instance_uid, transfer_syntax_uid, sha256, size, path, calling_ae, association_id,
    eligible, conflict, received_at) VALUES (1, :study, :uid, :sop_class, '1.2', '1.2.5', :sha256,
    :size, :path, 'CR1', 'A', true, false, '2026-03-01 09:00:00')""",
)


class Site:
    """A spool and a database with one image that the version before received, then upgraded.

    Attributes:
        before: The image's file.
        arrivals: The store's result for each image that arrived since.
    """

    def __init__(self, tmp_path, url, image):
        self.settings = load_settings(data_dir=tmp_path / "data")
        self.spool = Spool(self.settings.spool_dir)
        self.arrivals = []
        header = read_header(image)
        self.identity = check_identity(header)
        content = image.read_bytes()
        self.content = content[144 + int.from_bytes(content[140:144], "little") :]
        new = self.spool.store(self._incoming(self.content), self.identity).instance
        self.digest = hashlib.sha256(self.content).hexdigest()
        self.before = new.path.rename(
            new.path.with_name(new.path.name.replace(new.digest, self.digest))
        )
        schema.upgrade(url, _BEFORE)
        self._record(url)
        schema.upgrade(url)
        self.store = Store(url)
        self.intake = Intake(self.store, self.settings, lambda *_: None)

    def _record(self, url):
        values = {
            "study": self.identity.study_instance_uid,
            "uid": self.identity.sop_instance_uid,
            "sop_class": self.identity.sop_class_uid,
            "sha256": self.digest,
            "size": len(self.content),
            "path": str(self.before),
        }
        engine = make_engine(url)
        with engine.begin() as connection:
            for row in _ROWS:
                used = {name: each for name, each in values.items() if f":{name}" in row}
                connection.execute(text(row), used)
        engine.dispose()

    def _incoming(self, content):
        incoming = self.spool.receive(
            Announced(
                sop_class_uid=self.identity.sop_class_uid,
                sop_instance_uid=self.identity.sop_instance_uid,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                source_ae="CR1",
            )
        )
        incoming.write(content)
        return incoming

    def send(self, content):
        """Receive a data set as the receiver does; return the instance."""
        association = IncomingAssociation(
            id="B", calling_ae="CR1", called_ae="WETREAD", address="127.0.0.1"
        )
        return Ingest(self.spool, self._arrived).store(self._incoming(content), association)

    def _arrived(self, images):
        self.arrivals += self.intake.instances_arrived(images)
        return [None] * len(images)

    def place_a_copy(self):
        """Leave the remains of kill -9 during a repeated send: the new file, not yet removed."""
        return self.spool.store(self._incoming(self.content), self.identity).instance.path

    def files(self):
        """Return the images' files."""
        return sorted(self.spool.root.glob("??/*.dcm"))

    def images(self):
        """Return the images whose files should be there."""
        return self.store.instances_with_uid(self.identity.sop_instance_uid)

    def verify(self, *, repair=False):
        """Return the kinds of findings of a check that reads every image."""
        repairs = Repairs(self.store, self.settings, self.intake) if repair else None
        scope = Scope(hashes=True, young_seconds=0)
        found = SpoolCheck(self.store, self.settings, scope, repairs).findings()
        return [each.kind for each in found]


@pytest.fixture
def database_url(request, tmp_path):
    """An empty SQLite file; or PostgreSQL, where a test asks for it."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'wetread.db'}"


@pytest.fixture
def site(tmp_path, database_url, phantom_images):
    """A site of the previous version, upgraded."""
    made = Site(tmp_path, database_url, phantom_images["normal"])
    yield made
    made.store.close()


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_same_image_sent_again_is_the_image_and_another_is_a_conflict(site):
    """The acknowledged file and its row stay as they are; other bytes are stored beside it."""
    (known,) = site.images()
    site.send(site.content)
    assert site.arrivals == [Arrival.SAME]
    assert (site.images(), site.files()) == ([known], [site.before])
    assert (known.digest, known.path) == (site.digest, site.before)
    site.send(site.content + b"\xfc\xff\xfc\xff\x00\x00")
    assert site.arrivals == [Arrival.SAME, Arrival.CONFLICT]
    assert len(site.images()) == len(site.files()) == 2
    assert [each.kind for each in site.store.incidents()] == ["conflict"]
    assert site.verify() == []


@pytest.mark.parametrize("spoil", ["unlink", "cut", "rot"])
def test_an_image_whose_file_is_gone_or_spoilt_takes_the_new_file(site, spoil):
    """It is the same image, under the digest of today."""
    if spoil == "unlink":
        site.before.unlink()
    elif spoil == "cut":
        site.before.write_bytes(site.before.read_bytes()[:-2])
    else:
        site.before.write_bytes(site.before.read_bytes()[:-1] + b"\x55")
    instance = site.send(site.content)
    assert site.arrivals == [Arrival.SAME]
    (image,) = site.images()
    assert (image.path, image.digest) == (instance.path, instance.digest)
    assert len(image.digest) == 56
    assert image.path in site.files()


def test_an_image_that_cannot_be_read_back_is_refused_and_not_called_another(site, monkeypatch):
    """The disk fails while the old digest is computed: the sender gets an error and may try again."""
    monkeypatch.setattr("service.store.duplicate_lookup.content_digest", lambda *_, **__: "")
    with pytest.raises(StoreError, match="cannot be read back"):
        site.send(site.content)
    monkeypatch.undo()
    assert site.files() == [site.before]
    site.send(site.content)
    assert site.arrivals == [Arrival.SAME]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_other_writers_do_not_wait_while_a_file_is_read(site, eventually):
    """Their changes meanwhile are noticed: here the image's file is moved to another path."""
    (row,) = site.store.instances_after(0, limit=1)
    moved = site.before.rename(site.before.with_name("moved.dcm"))
    os.mkfifo(site.before)  # a disk that does not answer: the opening thread waits for `_answer`
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(site.send, site.content)
        answer = partial(_answer, site.before, site.store, row, moved)
        eventually(answer, seconds=60, what="the file is opened")
        instance = sent.result(60)
    assert site.arrivals == [Arrival.SAME]
    assert [image.path for image in site.images()] == [moved]
    assert instance.path != moved


def _answer(pipe, store, row, moved):
    """If another thread waits for a named pipe, write to the database and let the thread continue."""
    try:
        end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # ENXIO: no thread has opened it yet
        return False
    try:
        store.set_instance_path(row, moved)
    finally:
        os.close(end)
    return True


def test_an_image_that_lost_its_copy_too_is_read_again(site):
    """Its row was given the copy under today's name, which is lost as well when it is sent again."""
    copy = site.place_a_copy()
    site.before.unlink()
    site.verify(repair=True)
    copy.unlink()
    instance = site.send(site.content)
    assert site.arrivals == [Arrival.SAME]
    assert [image.path for image in site.images()] == [instance.path]
    assert [study for study, _ in site.store.completed_by(["B"])] == [
        site.identity.study_instance_uid
    ]


def test_an_image_that_retention_removed_comes_back(site):
    """Its row gets the new file, and it is read again, as one that never had another digest."""
    (known,) = site.images()
    site.store.mark_instance_removed(known)
    site.before.unlink()
    instance = site.send(site.content)
    assert site.arrivals == [Arrival.SAME]
    assert [image.path for image in site.images()] == site.files() == [instance.path]
    assert site.verify() == []


def test_what_is_committed_is_read_by_the_algorithm_of_its_digest(site):
    """An image from before is committed while its bytes are those that came."""
    reference = Reference(
        sop_class_uid=site.identity.sop_class_uid, sop_instance_uid=site.identity.sop_instance_uid
    )
    request = CommitmentRequest(transaction_uid="1.2.3.4", references=(reference,))
    commitments = Commitments(site.settings, site.store)
    assert commitments.failures(request) == {}
    site.before.write_bytes(site.before.read_bytes()[:-1] + b"\x55")
    assert list(commitments.failures(request)) == [site.identity.sop_instance_uid]


def test_verify_takes_a_second_copy_for_what_it_is(site):
    """The image's own file stays; a copy under today's name is set aside, not adopted."""
    assert site.verify() == []
    copy = site.place_a_copy()
    assert site.verify(repair=True) == [Kind.STRAY_COPY]
    assert (site.files(), site.verify()) == ([site.before], [])
    assert not copy.exists()


def test_verify_gives_a_lost_image_the_copy(site):
    """Where the image's own file is gone, the row finds the one under today's name."""
    copy = site.place_a_copy()
    site.before.unlink()
    assert site.verify(repair=True) == [Kind.MISPLACED_IMAGE]
    assert [image.path for image in site.images()] == [copy]
    assert site.verify() == []
