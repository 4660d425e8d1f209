"""Counts how many sampled reports of the same image agree with the draft, for each finding. Pure.

A sample is another report that the model could have written. If few samples agree, the draft is one of
several possible readings; if all agree, the model is consistent, which does not mean correct.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from dicom.content.report import Agreement, Finding, Observation, Presence
from workers.model.vlm import Decoding

_LOW: Final = 0.5  # share of the samples; below it, few agree
_FOUND: Final = (Presence.PRESENT, Presence.UNCERTAIN)
_WORDS: Final = {
    Presence.PRESENT: "is present",
    Presence.UNCERTAIN: "is possible",
    Presence.ABSENT: "is absent",
}


def agreed(
    findings: Sequence[Finding], samples: Sequence[Sequence[Finding]]
) -> tuple[Finding, ...]:
    """Return the findings; those stated by a sentence also hold how many samples agree.

    A sample agrees if it has the same presence and, where the draft states a side, the same side.

    Args:
        findings: Of the draft, one for each observation.
        samples: Findings of each sampled report, one for each observation; if empty, nothing changes.
    """
    if not samples:
        return tuple(findings)
    return tuple(
        finding if finding.sentence is None else _agreed(finding, samples) for finding in findings
    )


def doubts(
    findings: Sequence[Finding], samples: Sequence[Sequence[Finding]], asked: int
) -> Iterator[str]:
    """Yield a sentence for the radiologist for each finding that most samples do not confirm.

    An absent finding is in doubt only if a sample reports it: not mentioning it says little.

    Args:
        findings: As `agreed` returns them.
        samples: As `agreed` takes them.
        asked: Number of samples that were requested.
    """
    if len(samples) < asked:
        yield f"Only {len(samples)} of {asked} sampled readings could be made."
    for finding in findings:
        presences = Counter(other.presence for other in _others(finding.observation, samples))
        found = sum(presences[presence] for presence in _FOUND)
        if finding.agreement is not None:
            low = finding.agreement.share < _LOW
            if low and (found or finding.presence in _FOUND):
                yield _few(finding, finding.agreement)
        elif finding.observation is not Observation.NO_FINDING and found > _LOW * len(samples):
            yield (
                f"{found} of {len(samples)} sampled readings mention {finding.observation.value}; "
                "the draft does not."
            )


def sampled_beside(samples: Sequence[Decoding]) -> str:
    """Return the samples' decoding, to append to that of the draft; "" without samples."""
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
        f"{count} of {agreement.samples} sampled readings state that {side}{finding.observation.value} "
        f"{_WORDS[finding.presence]}, as the draft does."
    )
