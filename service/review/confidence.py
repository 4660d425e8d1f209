"""How sure a draft is of a finding, in words. Pure."""

from enum import StrEnum

from dicom.content.report import STATED, Finding, Presence
from service.review.draft_sentences import doubts_about


class Confidence(StrEnum):
    """How sure a draft is that a finding is present.

    Scores are not calibrated, so that the words follow from what the text states, the score of the
    model and the sampled readings together, never from the score alone.
    """

    LIKELY = "likely"
    UNSURE = "unsure"
    UNLIKELY = "unlikely"


def confidence(finding: Finding) -> Confidence | None:
    """Return how sure the draft is of a finding; None if it does not state the finding."""
    if finding.presence not in STATED:
        return None
    if doubts_about(finding):
        return Confidence.UNSURE
    return Confidence.LIKELY if finding.presence is Presence.PRESENT else Confidence.UNLIKELY
