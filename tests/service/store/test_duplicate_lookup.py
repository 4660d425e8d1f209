"""The row that an arriving Instance already has."""

from dataclasses import replace
from pathlib import Path

import pytest

from dicom.spool.spool import content_digest
from service.errors import StoreError
from service.store.duplicate_lookup import (
    FileNotRead,
    StoredFiles,
    known_by_earlier_digest,
    known_instance,
)
from tests.service.store.records import arrive, image


def test_the_row_of_the_same_bytes(store, clock):
    """By UID and digest; other bytes, and another UID, are not known."""
    arrive(store)
    arrive(store, sha="b")
    with store._read_connection() as connection:
        known = known_instance(connection, image())
        assert (known.conflict, known.is_removed, known.received_at) == (False, False, clock())
        assert known.path == image().path
        assert known_instance(connection, image(sha="b")).conflict
        assert known_instance(connection, image(sha="c")) is None
        assert known_instance(connection, image(2)) is None


def test_a_removed_file_is_noted(store):
    """The Instance is known, its file is not kept."""
    arrive(store)
    (row,) = store.spooled(image().study_instance_uid)
    store.mark_instance_removed(row)
    with store._read_connection() as connection:
        assert known_instance(connection, image()).is_removed


def test_an_earlier_digest_needs_the_file_to_be_read(store, phantom_images):
    """The transaction queries for it, and finds an existing row."""
    path = Path(phantom_images["normal"])
    earlier = replace(image(), path=path, digest=content_digest(path, like="0" * 64))
    store.add_instance(earlier, calling_ae="CR1", association_id="A", eligible=True)
    arriving = replace(earlier, digest=content_digest(path, like="0" * 56))
    assert len(arriving.digest) != len(earlier.digest)
    files = StoredFiles([path])
    with store._read_connection() as connection:
        with pytest.raises(FileNotRead) as needed:
            known_by_earlier_digest(connection, arriving, files)
        files.read([needed.value])
        assert known_by_earlier_digest(connection, arriving, files).digest == earlier.digest
        assert (
            known_by_earlier_digest(connection, replace(arriving, sop_instance_uid="9.9"), files)
            is None
        )


def test_a_file_that_cannot_be_read_is_an_error(store, tmp_path):
    """It does not count as another image."""
    arrive(store)
    gone = replace(image(), path=tmp_path / "gone.dcm", digest="0" * 56)
    files = StoredFiles([gone.path])
    assert files.written_at(gone.path) is None
    with store._read_connection() as connection:
        with pytest.raises(FileNotRead) as needed:
            known_by_earlier_digest(connection, gone, files)
        files.read([needed.value])
        with pytest.raises(StoreError, match="cannot be read back"):
            known_by_earlier_digest(connection, gone, files)
