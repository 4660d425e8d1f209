"""The file of levels: it is read as it was written, and an incomplete file is refused."""

import gzip

import pytest

from dicom.errors import InvalidDataset
from dicom.spool.levels_file import (
    levels_path,
    open_index,
    packed,
    read_part,
    remove_levels,
    write_levels,
)

DESCRIPTION = {"rows": 2, "columns": 3, "levels": [{"rows": 2, "columns": 3}, {}]}
CONTENT = packed(DESCRIPTION, [gzip.compress(b"full"), gzip.compress(b"half")])


@pytest.fixture
def image(tmp_path):
    """A file in the place of an image."""
    path = tmp_path / "image.dcm"
    path.write_bytes(b"pixels")
    return path


def test_levels_are_read_as_written(image):
    """The description and each level come back; nothing else stays in the folder."""
    assert write_levels(image, CONTENT)
    index = open_index(levels_path(image))
    assert index.description == DESCRIPTION
    bodies = [gzip.decompress(read_part(levels_path(image), part)) for part in index.parts]
    assert bodies == [b"full", b"half"]
    assert {each.name for each in image.parent.iterdir()} == {"image.dcm", "image.dcm.levels"}


@pytest.mark.parametrize(
    "content",
    [b"", CONTENT[:4], CONTENT[:30], CONTENT[:-1], CONTENT + b"x", b"WTLEVEL0" + CONTENT[8:]],
    ids=["empty", "no head", "in the description", "cut off", "longer", "another version"],
)
def test_a_file_that_is_not_whole_is_refused(image, content):
    """A crash or a full disk may leave such a file: it counts as missing."""
    levels_path(image).write_bytes(content)
    with pytest.raises(InvalidDataset):
        open_index(levels_path(image))


def test_damaged_text_is_refused(image):
    """Bytes that are no description raise the same error."""
    levels_path(image).write_bytes(CONTENT[:12] + b"[" * (len(CONTENT) - 12))
    with pytest.raises(InvalidDataset):
        open_index(levels_path(image))


def test_no_levels_are_written_on_a_nearly_full_disk(image):
    """The remaining space is reserved for received images."""
    assert not write_levels(image, CONTENT, min_free_bytes=2**62)
    assert not levels_path(image).exists()


def test_no_levels_are_left_without_their_image(image):
    """Retention may remove an image while its levels are made."""
    image.unlink()
    write_levels(image, CONTENT)
    assert list(image.parent.iterdir()) == []
    remove_levels(image)
