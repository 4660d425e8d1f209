"""The confidence of a draft, as text."""

import pytest

from dicom.content.report import Finding, Observation, Presence
from service.review.confidence import Confidence, confidence


@pytest.mark.parametrize(
    ("presence", "expected"),
    [
        (Presence.PRESENT, Confidence.LIKELY),
        (Presence.UNCERTAIN, Confidence.UNSURE),
        (Presence.ABSENT, Confidence.UNLIKELY),
        (Presence.NOT_MENTIONED, None),
        (Presence.NOT_CODED, None),
    ],
)
def test_by_what_the_text_states(presence, expected):
    """A finding that is not stated has no confidence."""
    assert confidence(Finding(observation=Observation.EDEMA, presence=presence)) is expected


def test_a_score_that_contradicts_the_text_makes_it_unsure():
    """For any presence."""
    found = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT, score=0.05)
    assert confidence(found) is Confidence.UNSURE
