"""Coded findings as the labels that the figures are computed from."""

from collections.abc import Iterable
from typing import Final

from dicom.content.report import Finding, Presence
from service.evaluation.labels import Label

_LABELS: Final = {
    Presence.PRESENT: Label.POSITIVE,
    Presence.ABSENT: Label.NEGATIVE,
    Presence.UNCERTAIN: Label.UNCERTAIN,
}


def labels_of(findings: Iterable[Finding]) -> dict[str, Label]:
    """Return the label of each finding that is stated."""
    return {
        one.observation.value: _LABELS[one.presence] for one in findings if one.presence in _LABELS
    }


def label_of_word(*, yes: bool) -> Label:
    """Return the label of a yes-or-no answer."""
    return Label.POSITIVE if yes else Label.NEGATIVE
