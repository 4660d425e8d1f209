"""What the headers of a study say about the issuer of its accession number."""

from dataclasses import fields
from datetime import UTC, datetime
from itertools import count

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.study import Instance
from service.records import ReceivedInstance
from service.web.review.accession_issuers import IssuerMatch, issuer_match


@pytest.fixture
def received(phantom_images, tmp_path):
    """A function that returns a received Instance whose header has these issuers, each by its names."""
    numbers = count()

    def make(*issuers, conflict=False, is_there=True):
        dataset = dcmread(phantom_images["normal"])
        dataset.IssuerOfAccessionNumberSequence = [item(*names) for names in issuers]
        path = tmp_path / f"{next(numbers)}.dcm"
        if is_there:
            dataset.save_as(path)
        values = dict.fromkeys((each.name for each in fields(Instance)), "1.2") | {"path": path}
        return ReceivedInstance(
            **values, calling_ae="M", received_at=datetime.now(UTC), conflict=conflict
        )

    return make


def item(name="", identifier=""):
    """Return the item of an issuer."""
    dataset = Dataset()
    dataset.LocalNamespaceEntityID, dataset.UniversalEntityID = name, identifier
    return dataset


def test_name_and_identifier_both_count(received):
    """An issuer has either or both; spaces around it do not matter."""
    both = received(("NORTH ", "1.2.3"))
    for issuer, match in (("NORTH", "STATED"), ("1.2.3", "STATED"), ("north", "OTHER")):
        assert issuer_match([both], issuer) is IssuerMatch[match]


def test_what_is_not_read_is_not_taken_for_none(received):
    """No Instance, a lost file, more Instances than are read, or only a conflict: unknown."""
    silent, lost = received(), received(is_there=False)
    assert issuer_match([silent, silent], "NORTH") is IssuerMatch.SILENT
    unknown = ([], [lost], [silent, lost], [silent] * 17, [received(("NORTH",), conflict=True)])
    for instances in unknown:
        assert issuer_match(instances, "NORTH") is IssuerMatch.UNKNOWN
    assert issuer_match([lost, silent, received(("NORTH",))], "NORTH") is IssuerMatch.STATED


def test_two_issuers_match_neither(received):
    """In two images, and in one header, which may have a single item only."""
    north, south = received(("NORTH",)), received(("SOUTH",))
    for instances in ([north, south], [received(("NORTH",), ("SOUTH",))]):
        assert issuer_match(instances, "NORTH") is IssuerMatch.CONFLICT
        assert issuer_match(instances, "WEST") is IssuerMatch.OTHER
