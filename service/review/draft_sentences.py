"""The sentences and findings of a draft with their ids, and which sentences must be answered. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicom.content.patient_study import clean_text
from dicom.content.phrases import is_positive
from dicom.content.report import STATED, Doubt, DraftReport, Finding, Observation, Presence
from service.review.words import MustAnswer, Section

# A finding that cannot wait for its turn in a worklist.
URGENT_FINDINGS: Final = frozenset({Observation.PNEUMOTHORAX})
# As in `workers.reading`: from this score on the model says yes; below this share few samples agree.
_EVEN_SCORE: Final = 0.5
_FEW_AGREE: Final = 0.5
_DOUBTS: Final[Mapping[Doubt, MustAnswer]] = {
    Doubt.CONTRADICTED: MustAnswer.CONTRADICTED,
    Doubt.COMPARES: MustAnswer.COMPARES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedFinding:
    """A finding of a draft and its id within the draft ("pleural-effusion")."""

    id: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSentence:
    """A sentence of a draft.

    Attributes:
        id: "f1" is the first sentence of the findings, "i1" of the impression.
        text: The sentence on one line.
        findings: Ids of the findings that it states.
        must_answer: Why it must be answered; empty if it need not be.
    """

    id: str
    section: Section
    text: str
    findings: tuple[str, ...] = ()
    must_answer: tuple[MustAnswer, ...] = ()


def identified_findings(draft: DraftReport) -> tuple[IdentifiedFinding, ...]:
    """Return the draft's findings with their ids, in the order of the draft."""
    count: Counter[str] = Counter()
    found = []
    for finding in draft.findings:
        name = finding.observation.value.replace(" ", "-")
        count[name] += 1
        number = f"-{count[name]}" if count[name] > 1 else ""
        found.append(IdentifiedFinding(id=f"{name}{number}", finding=finding))
    return tuple(found)


def draft_sentences(draft: DraftReport) -> tuple[DraftSentence, ...]:
    """Return the draft's sentences with their ids; those without any text are left out."""
    findings = identified_findings(draft)
    reasons = _doubts(draft)
    return tuple(
        _sentence(identifier, section, text, findings, reasons.get(text, ()))
        for section, lines in (
            (Section.FINDINGS, draft.findings_text),
            (Section.IMPRESSION, draft.impression_text),
        )
        for identifier, text in _numbered(section, lines)
    )


def urgent_findings(draft: DraftReport) -> tuple[Finding, ...]:
    """Return the findings of the draft that cannot wait."""
    return tuple(each for each in draft.findings if _is_urgent(each))


def _numbered(section: Section, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start=1):
        if text := clean_text(line):
            yield f"{section.value[0]}{number}", text


def _sentence(
    identifier: str,
    section: Section,
    text: str,
    findings: Sequence[IdentifiedFinding],
    doubts: Sequence[MustAnswer],
) -> DraftSentence:
    stated = [each for each in findings if clean_text(each.finding.sentence or "") == text]
    reasons = {*doubts, *(reason for each in stated for reason in _reasons(each.finding))}
    return DraftSentence(
        id=identifier,
        section=section,
        text=text,
        findings=tuple(each.id for each in stated),
        must_answer=tuple(reason for reason in MustAnswer if reason in reasons),
    )


def _doubts(draft: DraftReport) -> dict[str, tuple[MustAnswer, ...]]:
    """Return the reasons that the draft itself gives for each of its sentences."""
    if draft.doubts is None:
        # Its notes may be about any sentence.
        lines = (*draft.findings_text, *draft.impression_text) if draft.notes else ()
        return {clean_text(line): (MustAnswer.UNCHECKED,) for line in lines}
    found: dict[str, tuple[MustAnswer, ...]] = {}
    for each in draft.doubts:
        text = clean_text(each.sentence)
        found[text] = (*found.get(text, ()), _DOUBTS[each.doubt])
    return found


def doubts_about(finding: Finding) -> tuple[MustAnswer, ...]:
    """Return the reasons to doubt a finding that lie in itself; empty if there is none."""
    few = finding.agreement is not None and finding.agreement.share < _FEW_AGREE
    found = []
    if finding.presence is Presence.UNCERTAIN or (few and is_positive(finding)):
        found.append(MustAnswer.UNSURE)
    if _score_disagrees(finding):
        found.append(MustAnswer.CONTRADICTED)
    return tuple(found)


def _reasons(finding: Finding) -> Iterator[MustAnswer]:
    yield from doubts_about(finding)
    if _is_urgent(finding):
        yield MustAnswer.URGENT


def _score_disagrees(finding: Finding) -> bool:
    if finding.score is None or finding.presence not in STATED - {Presence.UNCERTAIN}:
        return False
    return (finding.presence is Presence.PRESENT) != (finding.score >= _EVEN_SCORE)


def _is_urgent(finding: Finding) -> bool:
    return finding.observation in URGENT_FINDINGS and is_positive(finding)
