"""The file of a vector space: in place, whole, never truncated; any other file is refused."""

import os

import numpy as np
import pytest

from service.errors import VectorFileDamaged
from service.records.search import ImageVector
from service.search.vector_file import VectorFiles, dimensions, mapped

SPACE = "cxr-clip-0123456789abcdef"


def vector(*values):
    """Return a vector of the test's space."""
    return ImageVector(SPACE, np.array(values, "<f4").tobytes())


@pytest.fixture
def files(tmp_path):
    """The files below an empty folder."""
    return VectorFiles(tmp_path)


def test_rows_are_written_in_place_and_mapped(files):
    """A row may be written before those in front of it; a gap is zeros."""
    files.write(vector(3, 4), 2)
    files.write(vector(1, 2), 0)
    assert mapped(files.path(SPACE)).tolist() == [[1, 2], [0, 0], [3, 4]]
    assert dimensions(files.path(SPACE)) == 2


def test_a_cleared_row_is_zeros_in_the_file(files):
    """Also for a process that has the file mapped; a row beyond the end needs nothing."""
    files.clear(SPACE, 0)
    files.write(vector(1, 2), 0)
    files.write(vector(3, 4), 1)
    rows = mapped(files.path(SPACE))
    files.clear(SPACE, 0)
    files.clear(SPACE, 9)
    assert rows.tolist() == [[0, 0], [3, 4]]
    assert np.array([1, 2], "<f4").tobytes() not in files.path(SPACE).read_bytes()


def test_a_file_without_a_whole_header_is_completed(files):
    """The file of a process that was killed before its first row."""
    files.path(SPACE).parent.mkdir()
    files.path(SPACE).write_bytes(b"WETR")
    files.write(vector(1, 2), 0)
    assert mapped(files.path(SPACE)).tolist() == [[1, 2]]


def test_another_file_is_refused_and_named(files):
    """Vectors of another length, and what is no file of vectors."""
    files.write(vector(1, 2), 0)
    with pytest.raises(VectorFileDamaged, match="another length"):
        files.write(vector(1, 2, 3), 0)
    files.path(SPACE).write_bytes(os.urandom(256))
    with pytest.raises(VectorFileDamaged, match="wetread search rebuild"):
        mapped(files.path(SPACE))
    files.clear(SPACE, 0)
    assert not files.path(SPACE).exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b"])
def test_a_space_is_a_plain_name(files, name):
    """No file outside of the folder."""
    with pytest.raises(ValueError, match="plain"):
        files.path(name)
