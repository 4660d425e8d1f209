"""The order in which the images of a study are examined."""

import random

from dicom.selection.precedence import precedence
from dicom.selection.triage import triage
from tests.dicom.selection.headers import tags

CHEST = {"BodyPartExamined": "CHEST", "ViewPosition": "PA"}
# From the first to the last that is examined.
IN_ORDER = [
    tags(**CHEST, AcquisitionDate="20260301", AcquisitionTime="100000"),
    tags(**CHEST, AcquisitionDate="20260301", AcquisitionTime="095959.999"),
    tags(**CHEST, ContentDate="20250101", ContentTime="23"),
    tags(**CHEST, StudyDate="20250101", Rows=3000),
    tags(**CHEST, StudyDate="20250101"),
    tags(**CHEST),
    tags(**CHEST | {"ViewPosition": "AP"}, AcquisitionDate="20260302"),
    tags(**CHEST | {"ViewPosition": ""}, PatientOrientation=["L", "F"]),
    tags(**CHEST, SeriesDescription="bone suppressed"),
    tags(**CHEST, PresentationIntentType="FOR PROCESSING"),
    tags(ViewPosition="PA"),
]


def key(header, uid="1.2"):
    """Return the sort key of a header."""
    return precedence(header, triage(header), uid)


def test_images_are_sorted_by_what_makes_them_better():
    """Surely a frontal chest, for presentation, original, PA, latest, largest."""
    shuffled = random.Random(1).sample(range(len(IN_ORDER)), len(IN_ORDER))
    found = sorted(shuffled, key=lambda index: key(IN_ORDER[index]))
    assert found == list(range(len(IN_ORDER)))


def test_no_two_images_share_a_key():
    """The UID decides last; an invalid time does not count."""
    assert key(tags(**CHEST), "1.2") < key(tags(**CHEST), "1.3")
    assert key(tags(**CHEST, StudyDate="yesterday")) == key(tags(**CHEST))
