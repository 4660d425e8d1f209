"""The sentences that all results share: the warning, the procedure, each finding."""

from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.patient_study import clean_text, value_of
from dicom.content.report import (
    CODED_OBSERVATIONS,
    DraftReport,
    Finding,
    Observation,
    Presence,
)
from dicom.content.result_header import Equipment, model_text

FOOTER: Final = "AI draft. Requires verification by a radiologist."
NO_FINDINGS_TEXT: Final = (
    "The model wrote no findings. This is not a normal report: nothing was described."
)
NOT_CODED: Final = "Findings are not coded for this draft: read the text."
NOT_MENTIONED_NOTE: Final = "Not mentioned does not mean absent."
NO_SCORES: Final = "scores"  # in `ModelIdentity.cannot`
_STATES: Final = {
    Presence.PRESENT: "present",
    Presence.ABSENT: "absent",
    Presence.UNCERTAIN: "uncertain",
    Presence.NOT_MENTIONED: "not mentioned",
    Presence.NOT_CODED: "not coded",
}
_VIEWS: Final = {
    "PA": "posteroanterior (PA) view",
    "AP": "anteroposterior (AP) view",
}


def warning(draft: DraftReport, equipment: Equipment) -> str:
    """Return the warning at the start of a result: unverified AI draft, its software, its caveat."""
    text = (
        "UNVERIFIED AI DRAFT - NOT FOR PRIMARY DIAGNOSIS. Written by software "
        f"({equipment.name_and_version}; {model_text(draft)}), revision {draft.revision}. "
        "Not reviewed by a radiologist."
    )
    return f"{text} {caveat(draft)}".strip()


def caveat(draft: DraftReport) -> str:
    """Return the model's caveat as a sentence, or ""."""
    text = _sentence(draft.model.caveat)
    return f"{text[:1].upper()}{text[1:]}"


def procedure(source: Dataset) -> str:
    """Return the procedure as a sentence, with the view if the image states PA or AP."""
    view = _VIEWS.get(value_of(source, "ViewPosition") or "")
    return f"Chest radiograph, {view or 'frontal view; the image does not state PA or AP'}."


def label(finding: Finding) -> str:
    """Return the finding's name, capitalized."""
    return finding.observation.value.capitalize()


def state(finding: Finding) -> str:
    """Return the finding's presence in one or two words."""
    return _STATES[finding.presence]


def place(finding: Finding) -> str:
    """Return side and site ("left, lower lobe"), or ""."""
    parts = [finding.side.value if finding.side else "", clean_text(finding.site or "")]
    return ", ".join(part for part in parts if part)


def certainty(finding: Finding) -> str:
    """Return the model's own score as a whole percentage ("87 %"), or ""."""
    return "" if finding.score is None else f"{percent(finding.score)} %"


def score_meaning(draft: DraftReport) -> str:
    """Return what the scores of a draft are, or that its model gives none."""
    if NO_SCORES in draft.model.cannot:
        return "The model gives no scores."
    return "Certainty is the model's own score, not calibrated."


def agreement(finding: Finding) -> str:
    """Return how many sampled reports agree with the draft ("3 of 8"), or ""."""
    found = finding.agreement
    return "" if found is None else f"{found.same} of {found.samples}"


def percent(score: float) -> int:
    """Return a score of 0..1 as a whole percentage, clipped to 1..99: no score is a certainty."""
    return min(max(round(100 * score), 1), 99)


def statement(finding: Finding) -> str:
    """Return the coded finding as a complete sentence."""
    if finding.observation is Observation.NO_FINDING:
        return "The draft describes no abnormal finding."
    where = f" ({place(finding)})" if place(finding) else ""
    score = ""
    if finding.score is not None:
        score = f"; model score {certainty(finding)}, not calibrated"
    return f"{label(finding)}{where}: {state(finding)}{score}."


def uncoded(draft: DraftReport) -> str:
    """Return why a draft has no coded finding, or "" if it has one."""
    if draft.is_coded:
        return ""
    why = caveat(draft) or "The text mentions none of the coded findings."
    return f"No finding is coded, neither present nor absent. {why}"


def outline_label(finding: Finding, *, one_side: bool) -> str:
    """Return the label of a finding's outline: name, "?" if uncertain, score, and the one-side note.

    Args:
        finding: The finding.
        one_side: The finding is bilateral, but its outline lies in one half of the image only.
    """
    doubt = "?" if finding.presence is Presence.UNCERTAIN else ""
    text = f"{label(finding)}{doubt} {certainty(finding)}".rstrip()
    return f"{text}, BILATERAL: one side outlined" if one_side else text


def is_positive(finding: Finding) -> bool:
    """Return whether the draft states the finding as present or uncertain ("no finding" excluded)."""
    found = finding.presence in (Presence.PRESENT, Presence.UNCERTAIN)
    return found and finding.observation is not Observation.NO_FINDING


def not_mentioned(draft: DraftReport) -> str:
    """Return a sentence that lists the findings that the draft does not mention, or "".

    Listed are those of the six and those that the draft itself names as not mentioned. Without the
    sentence a reader could take a finding that is not mentioned for absent. For a draft without any
    coded finding it returns NOT_CODED instead, because the text may mention any of them.
    """
    if not draft.is_coded:
        return NOT_CODED
    missing = [
        finding.observation.value
        for finding in listed(draft)
        if finding.presence is Presence.NOT_MENTIONED
    ]
    if not missing:
        return ""
    names = ", ".join(missing)
    return f"Not mentioned by this draft, neither present nor absent: {names}. {NOT_MENTIONED_NOTE}"


def listed(draft: DraftReport) -> list[Finding]:
    """Return the draft's findings and, as NOT_MENTIONED, the missing ones of the six, by presence.

    "No finding" is left out. Of a draft without any coded finding only findings with a score are
    returned, as NOT_CODED.
    """
    if not draft.is_coded:
        scored = [each for each in draft.findings if each.score is not None]
        return [
            replace(each, presence=Presence.NOT_CODED)
            for each in scored
            if each.observation is not Observation.NO_FINDING
        ]
    mentioned = {finding.observation for finding in draft.findings}
    silent = [
        Finding(observation=observation, presence=Presence.NOT_MENTIONED)
        for observation in CODED_OBSERVATIONS
        if observation not in mentioned
    ]
    order = list(Presence)
    found = [f for f in draft.findings if f.observation is not Observation.NO_FINDING]
    return sorted([*found, *silent], key=lambda finding: _rank(finding, order))


def _rank(finding: Finding, order: list[Presence]) -> int:
    """Return the sort key: present, uncertain, absent, not mentioned, not coded."""
    first = (Presence.PRESENT, Presence.UNCERTAIN)
    if finding.presence in first:
        return first.index(finding.presence)
    return 2 + order.index(finding.presence)


def is_unscored_and_not_mentioned(finding: Finding) -> bool:
    """Return whether neither the text mentions the finding nor the model scored it."""
    return finding.presence is Presence.NOT_MENTIONED and finding.score is None


def remarks(draft: DraftReport) -> list[str]:
    """Return the notes for the reader and the reasons why other images were not read, as sentences."""
    lines = [f"Note: {_sentence(note)}" for note in draft.notes if clean_text(note)]
    lines.extend(
        f"Another image of this study was not read: {_sentence(other.reason)}"
        for other in draft.not_read
    )
    return lines


def _sentence(text: str) -> str:
    cleaned = clean_text(text)
    return f"{cleaned}." if cleaned and cleaned[-1] not in ".!?" else cleaned
