"""Warnings for the reader about a model's text; the text itself is shown unchanged. Pure.

A model gets one image. References to earlier images, measurements, people or times, and statements that
contradict each other, come from its training texts.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dicom.content.report import (
    CODED_OBSERVATIONS,
    Doubt,
    DoubtfulSentence,
    Observation,
    Presence,
    Side,
)
from workers.labeller.findings import Mention, mentions, side_of, site_of
from workers.labeller.sentences import compares_with_prior

_PRIOR_NOTE: Final = "The text refers to an earlier image; the model had no such input."
_MEASURED = re.compile(
    r"\b\d+(?:[.,]\d+)?(?:\s*(?:x|by|-|to)\s*\d+(?:[.,]\d+)?)*\s*-?"
    r"(?:mm|cm|ml|cc|(?:milli|centi)met(?:er|re)s?|millilit(?:er|re)s?|inch(?:es)?|french|fr)\b",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"\b(?i:dr|drs|mr|mrs|ms|prof|doctor|nurse|physician)\b\.?\s+[A-Z][a-z]+"
    r"|\b(?i:(?:was|were|are|is|findings|results)\s+(?:discussed|communicated|telephoned|relayed|reported"
    r"|conveyed|paged)|by\s+(?:tele)?phone|dictated|electronically\s+signed|attending|resident)\b"
)
_TIME = re.compile(
    r"\b\d{1,2}:\d{2}(?:\s*[ap]\.?m)?|\b\d{1,4}[/-]\d{1,2}[/-]\d{1,4}\b|\b(?:19|20)\d{2}\b"
    r"|\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:january|february|march|april|may|june|july|august"
    r"|september|october|november|december)\b|\b(?:january|february|march|april|june|july|august|september"
    r"|october|november|december)\s+\d{1,2}\b",
    re.IGNORECASE,
)
_PATIENT = re.compile(
    r"\b(?:\d{1,3}|[a-z]+)[- ]years?[- ]old\b|\bhistory\s+of\b|\bstatus\s+post\b|\bs/p\b|\bknown\s+\w+",
    re.IGNORECASE,
)
_BLANK = re.compile(r"_{2,}|\bx{3,}\b|\[\*\*|\*\*\]", re.IGNORECASE)
_UNKNOWABLE: Final = (
    (_MEASURED, "The text gives a measurement; the model has no scale of the image."),
    (_PERSON, "The text names people or conversations; the model had no such input."),
    (_TIME, "The text gives a date or a time; the model had no such input."),
    (_BLANK, "The text has blanks, where its training texts had names."),
)
_PATIENT_NOTE: Final = "The text states the patient's age or history; the model had no such input."

_COMPARED: Final = (
    *CODED_OBSERVATIONS,
    Observation.PNEUMONIA,
    Observation.LUNG_OPACITY,
    Observation.ENLARGED_CARDIOMEDIASTINUM,
)
# "No large effusion" does not deny a small effusion; "no other opacity" does not deny the first one.
_QUALIFIED = re.compile(
    r"\b(?:no|without|not|free\s+of)\s+(?:\w+\s+){0,2}?(?:large|big|gross|significant|sizable|massive|tension|acute|new"
    r"|other|additional|further|residual|second|overt|frank|definite|obvious|convincing|evidence\s+of\s+active"
    r"|active|diffuse|focal|lobar|confluent|alveolar|interstitial|increas\w+|worsening|change)\b"
    r"|\b(?:otherwise|elsewhere|remain\w*|rest)\b",
    re.IGNORECASE,
)
_ALL_NORMAL = re.compile(
    r"\b(?:normal\s+(?:chest|radiograph|study|film|exam\w*)|no\s+(?:radiographic\s+)?abnormalit(?:y|ies)\b)",
    re.IGNORECASE,
)


def warnings(lines: Sequence[str], *, indication_given: bool = False) -> tuple[str, ...]:
    """Return a warning, as a sentence, for each doubtful kind of statement in `lines`.

    Args:
        lines: The sentences of the text.
        indication_given: The prompt had the order's indication, which the text may repeat.
    """
    notes = [_PRIOR_NOTE] if compares_with_prior(lines) else []
    notes += [note for pattern, note in _UNKNOWABLE if _any(pattern, lines)]
    if not indication_given and _any(_PATIENT, lines):
        notes.append(_PATIENT_NOTE)
    notes += [
        f"The text contradicts itself on {one.value}: present and absent."
        for one in contradictions(lines)
    ]
    if _normal_and_not(lines):
        notes.append("The text calls the image normal and describes a finding.")
    return tuple(notes)


def doubtful(lines: Sequence[str]) -> tuple[DoubtfulSentence, ...]:
    """Return the sentences of a text that contradict another one or refer to an earlier image."""
    contradicted = {line for about in _watched(lines).values() for line in _clashing(about)}
    found = [
        DoubtfulSentence(sentence=line, doubt=Doubt.CONTRADICTED)
        for line in dict.fromkeys(lines)
        if line in contradicted or (_ALL_NORMAL.search(line) and _normal_and_not(lines))
    ]
    found += [
        DoubtfulSentence(sentence=line, doubt=Doubt.COMPARES)
        for line in dict.fromkeys(lines)
        if compares_with_prior([line])
    ]
    return tuple(found)


def contradictions(lines: Iterable[str]) -> tuple[Observation, ...]:
    """Return the observations that a text calls both present and absent at the same side and site."""
    return tuple(one for one, about in _watched(lines).items() if any(_clashing(about)))


def _watched(lines: Iterable[str]) -> dict[Observation, list[tuple[str, Mention]]]:
    """Return each mention of a watched observation with its sentence."""
    found: dict[Observation, list[tuple[str, Mention]]] = {one: [] for one in _COMPARED}
    for line in lines:
        for mention in mentions(line):
            if mention.observation in found:
                found[mention.observation].append((line, mention))
    return found


def _clashing(about: Sequence[tuple[str, Mention]]) -> Iterator[str]:
    """Yield the sentences of each pair of mentions that contradict each other."""
    for denying, denied in about:
        if denied.presence is Presence.ABSENT and not _QUALIFIED.search(denied.clause):
            for finding, found in about:
                # Within one clause a cue of one mention could be attributed to the other.
                is_other = found.presence is Presence.PRESENT and found.clause != denied.clause
                if is_other and _same_place(denied, found):
                    yield denying
                    yield finding


def _same_place(denied: Mention, found: Mention) -> bool:
    # A finding that is denied at one site may be present at another site, or without a named site.
    side, other = side_of(denied.clause), side_of(found.clause)
    if side is not None and side is not other and Side.BILATERAL not in {side, other}:
        return False
    site = site_of(denied.clause)
    return site is None or site == site_of(found.clause)


def _normal_and_not(lines: Sequence[str]) -> bool:
    found = any(
        mention.presence is Presence.PRESENT and mention.observation in CODED_OBSERVATIONS
        for line in lines
        for mention in mentions(line)
    )
    return found and _any(_ALL_NORMAL, lines)


def _any(pattern: re.Pattern[str], lines: Iterable[str]) -> bool:
    # Search the joined text, because "Dr. Smith" was split into two sentences.
    return pattern.search(" ".join(lines)) is not None
