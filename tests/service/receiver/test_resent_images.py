"""An image whose row or file was lost or damaged is read when it arrives again."""

from datetime import timedelta

import pytest

from dicom.errors import OutOfResources
from dicom.parsing.header import check_identity, read_header
from dicom.spool.incoming_file import Announced
from dicom.spool.ingest import Ingest
from dicom.spool.spool import Spool, has_digest
from tests.service.receiver.callers import peer


def test_an_image_whose_row_was_there_without_its_file_is_read_when_it_comes_again(
    service_for, phantom_images, tmp_path
):
    """The answer to a commit was lost, so the file was taken back, and the job found none and failed."""
    receiver, spool = service_for(), Spool(tmp_path / "spool")
    store = receiver._store

    def lost(arrived):
        receiver.record(arrived)
        return [OutOfResources("the database does not accept it now") for _ in arrived]

    with pytest.raises(OutOfResources):
        Ingest(spool, lost).store(incoming_of(spool, phantom_images["normal"]), peer())
    (study,) = store.quiet_studies(store.now() + timedelta(minutes=1))
    assert not store.spooled(study)[0].path.exists()
    wanted = {"model": "demo", "version": "1", "actor": "t", "reason": "Released."}
    job = store.schedule(study, **wanted)
    held = store.claim_reading(job.id, "reader", 60)
    store.fail(job.id, held.fence, "TRANSIENT_READING_ERROR", "An image cannot be opened.")
    Ingest(spool, receiver.record).store(incoming_of(spool, phantom_images["normal"]), peer(id="2"))
    assert store.completed_by(["2"]) == [(study, "CR1")]
    again = store.schedule(study, **wanted)
    assert again.revision == 2
    held = store.claim_reading(again.id, "reader", 60)
    assert len(store.study(study, through=held.read_through).instances) == 1


@pytest.mark.parametrize("harm", ["short", "rotten"])
def test_an_image_whose_file_was_damaged_is_read_when_it_comes_again(
    service_for, phantom_images, tmp_path, harm
):
    """Its job failed on the damaged file; the intact bytes replace it and are a reason to read."""
    receiver, spool = service_for(), Spool(tmp_path / "spool")
    store = receiver._store
    image = Ingest(spool, receiver.record).store(
        incoming_of(spool, phantom_images["normal"]), peer(id="1")
    )
    wanted = {"model": "demo", "version": "1", "actor": "t", "reason": "Released."}
    job = store.schedule(image.study_instance_uid, **wanted)
    held = store.claim_reading(job.id, "reader", 60)
    store.fail(job.id, held.fence, "PERMANENT_READING_ERROR", "An image cannot be opened.")
    content = image.path.read_bytes()
    image.path.write_bytes(content[:-9] if harm == "short" else content[:-9] + bytes(8) + b"\1")
    Ingest(spool, receiver.record).store(incoming_of(spool, phantom_images["normal"]), peer(id="2"))
    assert has_digest(image.path, image.digest)
    assert store.completed_by(["2"]) == [(image.study_instance_uid, "CR1")]
    assert store.schedule(image.study_instance_uid, **wanted).revision == 2


def test_a_damaged_image_that_came_again_in_vain_is_read_when_it_comes_once_more(
    service_for, phantom_images, tmp_path
):
    """Its intact bytes are in place since the first time, but no row recorded it."""
    receiver, spool = service_for(), Spool(tmp_path / "spool")
    store = receiver._store
    image = Ingest(spool, receiver.record).store(
        incoming_of(spool, phantom_images["normal"]), peer(id="1")
    )
    wanted = {"model": "demo", "version": "1", "actor": "t", "reason": "Released."}
    job = store.schedule(image.study_instance_uid, **wanted)
    held = store.claim_reading(job.id, "reader", 60)
    store.fail(job.id, held.fence, "PERMANENT_READING_ERROR", "An image cannot be opened.")
    image.path.write_bytes(image.path.read_bytes()[:-9])

    def away(arrived):
        return [OutOfResources("the database does not accept it now") for _ in arrived]

    with pytest.raises(OutOfResources):
        Ingest(spool, away).store(incoming_of(spool, phantom_images["normal"]), peer(id="2"))
    assert has_digest(image.path, image.digest)
    for number in ("3", "4"):
        Ingest(spool, receiver.record).store(
            incoming_of(spool, phantom_images["normal"]), peer(id=number)
        )
    assert store.completed_by(["2", "4"]) == []
    assert store.completed_by(["3"]) == [(image.study_instance_uid, "CR1")]
    assert store.schedule(image.study_instance_uid, **wanted).revision == 2


def incoming_of(spool, image):
    """Return an image's data set as an incoming file of the spool."""
    header = read_header(image)
    identity = check_identity(header)
    incoming = spool.receive(
        Announced(
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
            source_ae="CR1",
        )
    )
    content = image.read_bytes()
    incoming.write(content[144 + int.from_bytes(content[140:144], "little") :])
    return incoming
