"""Vectors and texts of the search are removed with the images of their study."""

import numpy as np
import pytest

from service.maintenance.retention import Retention
from service.records.search import ImageVector
from service.search.query import TextQuery
from service.search.vector_file import VectorFiles
from tests.service.sweeper.studies import STUDY, drafted, schedule

SPACE = "cxr-clip-0123456789abcdef"
VECTOR = ImageVector(SPACE, np.full(4, 0.5, "<f4").tobytes())
CLEAR = TextQuery.of("clear")


@pytest.fixture
def kept(store, settings, arrive):
    """A study with image, draft and vector; the files of vectors."""
    files = VectorFiles(settings.data_dir)
    arrive()
    drafted(store, settings, schedule(store), destinations=())
    image = f"{STUDY}.1.1"
    store.keep_vector(
        VECTOR, study_uid=STUDY, image_uid=image, write=lambda _, row: files.write(VECTOR, row)
    )
    assert [each.study_uid for each in store.search_texts((), CLEAR.words, limit=5)] == [STUDY]
    return files


def test_retention_overwrites_the_vector(store, sweeper, clock, kept):
    """Zeros in the file, no row, no text."""
    assert VECTOR.content in kept.path(SPACE).read_bytes()
    clock.move(31 * 86400)
    sweeper.tick()
    assert store.spooled(STUDY) == []
    assert kept.path(SPACE).read_bytes()[64:] == bytes(len(VECTOR.content))
    assert store.vectors_of_study(STUDY) == []
    assert store.vector_spaces() == {}
    assert store.search_texts((), CLEAR.words, limit=5) == []


def test_a_removal_that_is_interrupted_is_repeated(store, settings, clock, kept, monkeypatch):
    """The vector cannot be cleared: the image and its row stay, and the next run removes all."""
    clock.move(31 * 86400)
    retention = Retention(store, settings)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(retention._vectors, "clear", full)
        assert retention.remove_old(clock()) == 0
    assert len(store.spooled(STUDY)) == 1
    assert len(store.vectors_of_study(STUDY)) == 1
    assert Retention(store, settings).remove_old(clock()) == 1
    assert VECTOR.content not in kept.path(SPACE).read_bytes()
    assert store.vectors_of_study(STUDY) == []
