"""How many sampled reports of the same film say what the draft says, finding by finding. Pure.

A sample is what the model might as well have written. Where few of them say what the draft says, it is
one of several possible readings; where all do, the model is sure, which is not the same as right.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from dicom.content.report import Agreement, Finding, Observation, Presence
from workers.model.vlm import Decoding

_LOW: Final = 0.5  # of the samples; fewer are few
_FOUND: Final = (Presence.PRESENT, Presence.UNCERTAIN)
_WORDS: Final = {
    Presence.PRESENT: "is present",
    Presence.UNCERTAIN: "is possible",
    Presence.ABSENT: "is absent",
}


def agreed(
    findings: Sequence[Finding], samples: Sequence[Sequence[Finding]]
) -> tuple[Finding, ...]:
    """Return the findings, those that a sentence says with how many samples say the same.

    The same is: the same presence, and the same side where the draft says one.

    Args:
        findings: Of the draft, one for each observation.
        samples: Of each sampled report, one for each observation; or none, then nothing changes.
    """
    if not samples:
        return tuple(findings)
    return tuple(
        finding if finding.sentence is None else _agreed(finding, samples) for finding in findings
    )


def doubts(
    findings: Sequence[Finding], samples: Sequence[Sequence[Finding]], asked: int
) -> Iterator[str]:
    """Yield a sentence for the reader for each finding of which most samples say otherwise.

    That a finding is absent is in doubt only where a sample sees it: to pass over it says little.

    Args:
        findings: As `agreed` returns them.
        samples: As `agreed` takes them.
        asked: So many samples were asked for.
    """
    if len(samples) < asked:
        yield f"Only {len(samples)} of {asked} sampled readings could be made."
    for finding in findings:
        said = Counter(other.presence for other in _others(finding.observation, samples))
        found = sum(said[presence] for presence in _FOUND)
        if finding.agreement is not None:
            low = finding.agreement.share < _LOW
            if low and (found or finding.presence in _FOUND):
                yield _few(finding, finding.agreement)
        elif finding.observation is not Observation.NO_FINDING and found > _LOW * len(samples):
            yield (
                f"{found} of {len(samples)} sampled readings speak of {finding.observation.value}; "
                "the draft does not."
            )


def sampled_beside(samples: Sequence[Decoding]) -> str:
    """Return how the samples were written, to stand behind how the draft was; or an empty text."""
    if not samples:
        return ""
    first, last = samples[0], samples[-1]
    return f"; compared with {len(samples)} sampled: {first.describe()}, up to seed {last.seed}"


def _agreed(finding: Finding, samples: Sequence[Sequence[Finding]]) -> Finding:
    others = _others(finding.observation, samples)
    same = sum(_says_the_same(finding, other) for other in others)
    return dataclasses.replace(finding, agreement=Agreement(same=same, samples=len(samples)))


def _others(observation: Observation, samples: Sequence[Sequence[Finding]]) -> Iterator[Finding]:
    return (one for sample in samples for one in sample if one.observation is observation)


def _says_the_same(finding: Finding, other: Finding) -> bool:
    return other.presence is finding.presence and finding.side in (None, other.side)


def _few(finding: Finding, agreement: Agreement) -> str:
    side = f"{finding.side.value} " if finding.side else ""
    count = f"Only {agreement.same}" if agreement.same else "None"
    return (
        f"{count} of {agreement.samples} sampled readings say that {side}{finding.observation.value} "
        f"{_WORDS[finding.presence]}, as the draft does."
    )
