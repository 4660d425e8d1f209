"""Coded findings as labels."""

from dicom.content.report import Finding, Observation, Presence
from service.evaluation.labels import Label
from workers.evaluation.labeled import label_of_word, labels_of


def test_stated_findings_have_labels():
    """Those that are not mentioned or not coded have none."""
    found = labels_of(
        Finding(observation=observation, presence=presence)
        for observation, presence in zip(Observation, Presence, strict=False)
    )
    assert list(found.values()).count(Label.POSITIVE) == 1
    assert set(found.values()) == {Label.POSITIVE, Label.NEGATIVE, Label.UNCERTAIN}
    assert label_of_word(yes=True) is Label.POSITIVE
    assert label_of_word(yes=False) is Label.NEGATIVE
