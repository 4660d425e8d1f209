"""The receiver decodes exactly the elements of the header that the intake uses."""

from typing import ClassVar

import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom.parsing.header import check_identity, read_header
from dicom.phantom import as_dataset, draw, draw_lateral, write
from dicom.selection.triage import triage
from dicom.spool.ingest import ASKED_ON_ARRIVAL
from service.receiver.intake import is_urgent


class Asked(Dataset):
    """A header that records which elements were read."""

    tags: ClassVar[set[int]] = set()

    def get(self, key, default=None):
        """Return a value, as usual."""
        Asked.note(key)
        return super().get(key, default)

    def __contains__(self, name):
        Asked.note(name)
        return super().__contains__(name)

    def __getitem__(self, key):
        Asked.note(key)
        return super().__getitem__(key)

    @classmethod
    def note(cls, key):
        """Record a keyword or a tag."""
        cls.tags.add(Tag(key))


def variants():
    """Headers that lack different elements, so that every element is read."""
    whole = as_dataset(draw(seed=1, rows=64, columns=64), seed=1)
    del whole.PixelData
    yield Dataset()
    yield whole
    yield as_dataset(draw_lateral(seed=1, rows=64, columns=64), seed=1)
    for element in list(whole):
        without = Dataset(whole)
        del without[element.tag]
        yield without


def test_no_question_meets_an_element_that_was_not_decoded():
    """Identity, triage and urgency read listed elements only, for any absent ones."""
    Asked.tags.clear()
    for header in variants():
        asked = Asked(header)
        triage(asked)
        is_urgent(asked)
    assert len(Asked.tags) > 12
    assert Asked.tags <= ASKED_ON_ARRIVAL


def test_the_short_header_answers_as_the_whole_one(shared_data):
    """On every image at hand, readable ones and odd ones."""
    images = sorted((shared_data / "cxr-dicom").rglob("*.dcm"))
    images += sorted((shared_data / "not-chest").rglob("*.dcm"))
    assert images
    for image in images:
        short, whole = read_header(image, only=ASKED_ON_ARRIVAL), read_header(image)
        assert check_identity(short) == check_identity(whole), image.name
        assert triage(short) == triage(whole), image.name
        assert is_urgent(short) == is_urgent(whole), image.name


@pytest.mark.parametrize("name", ["PatientName", "PatientID", "InstitutionName"])
def test_nothing_else_of_the_patient_is_decoded(tmp_path, name):
    """Elements that are never read are not kept in memory."""
    image = tmp_path / "image.dcm"
    write(as_dataset(draw(seed=1, rows=64, columns=64), seed=1), image)
    assert name not in read_header(image, only=ASKED_ON_ARRIVAL)
