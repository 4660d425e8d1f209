"""Turns a model's answer into the content of a draft: sections, coded findings, notes. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.content.report import DoubtfulSentence, Finding
from service.errors import EmptyText
from workers.labeller.findings import label_sentences, not_coded
from workers.labeller.sentences import clean, sections
from workers.labeller.text_warnings import doubtful, warnings
from workers.model.vlm import Answer
from workers.reading.content.agreement import agreed, doubts
from workers.reading.content.finding_regions import with_regions
from workers.reading.content.scores import disagreements, scored

_CHILD_NOTE: Final = (
    "The patient is a child: read with a pediatric prompt, whose accuracy has not been measured."
)
_INDICATION_NOTE: Final = "The prompt contained the indication."


@dataclass(frozen=True, slots=True)
class Content:
    """The part of a draft that comes from the answer; see `DraftReport`."""

    findings_text: tuple[str, ...]
    impression_text: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    doubts: tuple[DoubtfulSentence, ...]


def content(
    answer: Answer,
    frame: NDArray[np.float32],
    *,
    child: bool,
    reason: str,
    meaningless: bool,
    samples: int = 0,
    locates: bool = False,
) -> Content:
    """Return the draft content of `answer`.

    Args:
        answer: The model's answer.
        frame: float32 [rows, columns] in 0..1, 0 black: the image that the model read.
        child: The model got the pediatric prompt.
        reason: The indication in the prompt, or "".
        meaningless: The text has no meaning for this image: it is shown, but must never reach an archive
            as codes, nor be checked as a report.
        samples: Number of sampled reports that were requested.
        locates: The model is configured to locate its findings.

    Raises:
        EmptyText: The answer has no text.
    """
    findings_text, impression_text = _sections(answer.text)
    lines = findings_text + impression_text
    if not lines:
        raise EmptyText("the model wrote no text for this image")
    notes = list(_circumstances(answer, child=child, indication_given=bool(reason)))
    findings = not_coded(label_sentences(()))
    if not meaningless:
        findings = scored(not_coded(label_sentences(lines)), answer.chances)
        findings, unplaced = with_regions(findings, answer.heat, frame, locates=locates)
        sampled = [label_sentences(sum(_sections(text), ())) for text in answer.samples]
        findings = agreed(findings, sampled)
        notes += [
            *warnings(lines, indication_given=bool(reason)),
            *disagreements(findings),
            *doubts(findings, sampled, samples),
            *unplaced,
        ]
    unsure = () if meaningless else doubtful(lines)
    return Content(findings_text, impression_text, findings, tuple(notes), unsure)


def _sections(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return sections(clean(text.replace("</s>", " ")))


def shown_prompt(answer: Answer, reason: str) -> str:
    """Return the prompt on one line, with "[indication]" in place of the patient's indication."""
    prompt = answer.prompt.replace(reason, "[indication]") if reason else answer.prompt
    return " ".join(prompt.split())


def _circumstances(answer: Answer, *, child: bool, indication_given: bool) -> Iterator[str]:
    if child:
        yield _CHILD_NOTE
    if indication_given:
        yield _INDICATION_NOTE
    if not answer.ended:
        yield f"The text was truncated after {len(answer.token_ids)} tokens and is incomplete."
