"""Studies with drafts and vectors in a store."""

from dataclasses import dataclass

import numpy as np
import pytest

from service.records.search import ImageVector
from service.search.similar import StudySearch
from service.search.vector_file import VectorFiles
from service.settings.config import load_settings

SPACE = "cxr-clip-0123456789abcdef"


def unit_vectors(count, width=8, seed=0):
    """Return random float32 [count, width] of length 1."""
    found = np.random.default_rng(seed).standard_normal((count, width)).astype("<f4")
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@dataclass
class Vectors:
    """A store with vectors of studies `1.2.N`, whose image is `1.2.N.1`."""

    store: object
    files: VectorFiles
    reviewing: object
    searching: StudySearch

    def draft(self, number, **changes):
        """Return a DRAFTED job of a study of one image."""
        return self.reviewing.drafted(self.store, f"1.2.{number}", **changes)

    def keep(self, number, values, space=SPACE):
        """Store the vector of a study's image."""
        vector = ImageVector(space, np.asarray(values, "<f4").tobytes())
        return self.store.keep_vector(
            vector,
            study_uid=f"1.2.{number}",
            image_uid=f"1.2.{number}.1",
            write=lambda _, row: self.files.write(vector, row),
        )


@pytest.fixture
def vectors(store, tmp_path, reviewing):
    """A function-scoped bench on each kind of database."""
    settings = load_settings(data_dir=tmp_path / "data", broker={"url": "redis://127.0.0.1:1/0"})
    searching = StudySearch(store, settings)
    return Vectors(store, searching.files, reviewing, searching)
