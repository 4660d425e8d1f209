"""Adds the model's yes-or-no probabilities to findings, and reports where its text disagrees.

A score is the model's own probability of "Yes" against "No"; it need not be calibrated.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from dicom.content.report import CODED_OBSERVATIONS, STATED, Finding, Observation, Presence
from workers.model.prompts import IS_NORMAL, IS_THERE

ASKED: Final = (*CODED_OBSERVATIONS, Observation.NO_FINDING)
QUESTIONS: Final = (*(IS_THERE[name.value] for name in CODED_OBSERVATIONS), IS_NORMAL)
_EVEN: Final = 0.5


def scored(findings: Sequence[Finding], chances: Sequence[float]) -> tuple[Finding, ...]:
    """Return the findings with the model's own probability for those it was asked about.

    Args:
        findings: One for each observation.
        chances: In 0..1, one for each of QUESTIONS; if empty, nothing changes.
    """
    if not chances:
        return tuple(findings)
    known = dict(zip(ASKED, chances, strict=True))
    return tuple(
        dataclasses.replace(one, score=known[one.observation]) if one.observation in known else one
        for one in findings
    )


def disagreements(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a sentence for each finding whose score contradicts the text."""
    return tuple(_sentences(findings))


def _sentences(findings: Sequence[Finding]) -> Iterator[str]:
    for one in findings:
        if one.score is None or one.presence is Presence.UNCERTAIN:
            continue
        if (one.presence is Presence.PRESENT) == (one.score >= _EVEN):
            continue
        chance = f"{round(100 * one.score)} %"
        if one.observation is Observation.NO_FINDING:
            yield from _about_normal(one, chance)
        else:
            says = {
                Presence.PRESENT: "states that it is present",
                Presence.ABSENT: "states that it is absent",
                Presence.NOT_MENTIONED: "does not mention it",
                Presence.NOT_CODED: "is not coded",
            }[one.presence]
            yield (
                f"Text and score disagree on {one.observation.value}: the text {says}, "
                f"the score is {chance}."
            )


def _about_normal(finding: Finding, chance: str) -> Iterator[str]:
    # A text that mentions none of the fourteen observations does not say whether all is normal.
    if finding.presence in STATED:
        says = "nothing abnormal" if finding.presence is Presence.PRESENT else "a finding"
        yield (
            f"Text and score disagree on the whole image: the text describes {says}, the "
            f"score for a normal image is {chance}."
        )
