"""Joins studies, truth and drafts to the rows that the figures are computed from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicom.content.report import Presence
from service.assessment.study_rows import FINDINGS, Attribute, Detail, Outcome, StudyRow
from service.assessment.texts import Part, TextPair
from service.evaluation.labels import Label
from service.evaluation.subgroups import age_band
from service.evaluation.text import rouge_l
from workers.evaluation.cases import Case, Received
from workers.evaluation.draft_rows import DraftState, labeled_again
from workers.evaluation.truth import Truth

_LABELS: Final = {
    Presence.PRESENT: Label.POSITIVE,
    Presence.ABSENT: Label.NEGATIVE,
    Presence.UNCERTAIN: Label.UNCERTAIN,
}
_NO_TRUTH: Final = Truth(names=(), where="")
_DIFFUSE: Final = "edema"  # in both lungs whatever side a table states


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """The rows of all studies, and the texts of those that have a reference report.

    Attributes:
        pairs: By study id.
        drafts: The rows of `drafts.jsonl` by study id.
        truths: By study id.
    """

    rows: tuple[StudyRow, ...]
    pairs: Mapping[str, TextPair]
    drafts: Mapping[str, Mapping[str, Any]]
    truths: Mapping[str, Truth]


def assembled(
    received: Received,
    truths: Mapping[str, Truth],
    drafts: Mapping[str, Mapping[str, Any]],
    *,
    blank_negative: bool,
    keep_text: bool,
) -> Assembled:
    """Return the rows of the studies received.

    Args:
        received: The studies.
        truths: By study id.
        drafts: Rows of `drafts.jsonl` by study id.
        blank_negative: Whether a blank cell of the truth means that the finding is absent.
        keep_text: Whether the drafts' texts were kept: without them no text is compared.
    """
    drafts = {identifier: labeled_again(row) for identifier, row in drafts.items()}
    numbers = _patient_numbers(received.cases, truths)
    pairs = {
        case.id: pair
        for case in (received.cases if keep_text else ())
        if (pair := _pair(numbers[case.id], truths.get(case.id), drafts.get(case.id)))
    }
    rows = [
        _row(
            case,
            truths.get(case.id),
            drafts.get(case.id),
            patient=numbers[case.id],
            pair=pairs.get(case.id),
            blank_negative=blank_negative,
        )
        for case in received.cases
    ]
    rows += [
        StudyRow(id=each.id, patient="", outcome=Outcome.UNREADABLE, reason="UNREADABLE")
        for each in received.unreadable
    ]
    return Assembled(rows=tuple(rows), pairs=pairs, drafts=drafts, truths=truths)


def _patient_numbers(cases: Iterable[Case], truths: Mapping[str, Truth]) -> dict[str, str]:
    """Return the number of each study's patient: identifiers of patients are not written."""
    names = {
        case.id: truths.get(case.id, _NO_TRUTH).patient or case.patient or f"\0{case.id}"
        for case in cases
    }
    order = {name: number for number, name in enumerate(sorted(set(names.values())), start=1)}
    width = len(str(len(order)))
    return {case: f"p{order[name]:0{width}d}" for case, name in names.items()}


def _row(
    case: Case,
    truth: Truth | None,
    draft: Mapping[str, Any] | None,
    *,
    patient: str,
    pair: TextPair | None,
    blank_negative: bool,
) -> StudyRow:
    outcome, reason = _outcome(truth, draft)
    labels = dict(truth.labels) if truth else {}
    if truth and blank_negative:
        # Of a table the columns that it has; a report could have mentioned each of the fourteen.
        columns = truth.cells.columns or FINDINGS
        labels = dict.fromkeys(columns, Label.NEGATIVE) | labels
    draft = draft or {}
    scores = {**(truth.cells.scores if truth else {}), **draft.get("scores", {})}
    return StudyRow(
        id=case.id,
        patient=patient,
        outcome=outcome,
        reason=reason,
        attributes=_attributes(case, truth, draft),
        truth=labels,
        predicted=_predicted(draft),
        scores=scores,
        details=dict(_details(truth, draft)),
        rouge_l=_rouge(pair),
        word_count=draft.get("words"),
        cut=bool(draft.get("cut")),
        conflicts=int(draft.get("conflicts") or 0),
    )


def _outcome(truth: Truth | None, draft: Mapping[str, Any] | None) -> tuple[Outcome, str]:
    if draft is None:
        return Outcome.NOT_READ, "NOT_READ"
    state, reason = draft["state"], str(draft.get("reason_code") or "")
    if state == DraftState.NOT_ANALYSED:
        return Outcome.REFUSED, reason
    if state == DraftState.ERROR:
        return Outcome.FAILED, reason
    return (Outcome.SCORED if truth else Outcome.NO_TRUTH), reason


def _predicted(draft: Mapping[str, Any]) -> dict[str, Label]:
    stated = draft.get("labels", {})
    return {
        name: _LABELS[Presence(word)]
        for name, word in stated.items()
        if Presence(word) in _LABELS and name in FINDINGS
    }


def _attributes(case: Case, truth: Truth | None, draft: Mapping[str, Any]) -> dict[Attribute, str]:
    stated = {**case.attributes, **(truth.attributes if truth else {})}
    # The image that was read is the surest source of view and device.
    for name, value in draft.get("attributes", {}).items():
        if value:
            stated[Attribute(name)] = value
    years = case.years if truth is None or truth.years is None else truth.years
    return {**stated, Attribute.AGE: age_band(years)}


def _details(truth: Truth | None, draft: Mapping[str, Any]) -> Iterator[tuple[str, Detail]]:
    draft_sides = draft.get("sides", {})
    for name in FINDINGS:
        side = _truth_side(truth, name)
        size = truth.cells.sizes.get(name) if truth else None
        draft_side = draft_sides.get(name, "")
        pattern = _pattern(truth, name, side)
        if side or draft_side or size is not None or pattern:
            yield name, Detail(truth_side=side, draft_side=draft_side, size=size, pattern=pattern)


def _truth_side(truth: Truth | None, name: str) -> str:
    if truth is None:
        return ""
    stated = truth.cells.sides.get(name, "")
    if stated or truth.cells.labels or truth.text is None:
        return stated
    coded = {each.observation.value: each for each in truth.text.coded}[name]
    return coded.side.value if coded.side else ""


def _pattern(truth: Truth | None, name: str, side: str) -> str:
    """Return whether a present finding is focal or diffuse: as stated, or by its sides."""
    if truth is None or truth.labels.get(name) is not Label.POSITIVE:
        return ""
    stated = truth.cells.patterns.get(name, "")
    if stated or not side:
        return stated
    return "diffuse" if side == "bilateral" or name == _DIFFUSE else "focal"


def _pair(patient: str, truth: Truth | None, draft: Mapping[str, Any] | None) -> TextPair | None:
    if truth is None or truth.text is None or draft is None:
        return None
    if draft["state"] != DraftState.DRAFTED:
        return None
    content = draft.get("draft") or {}
    findings = " ".join(content.get("findings_text", ()))
    impression = " ".join(content.get("impression_text", ()))
    return TextPair(
        patient=patient,
        reference=truth.text.parts,
        draft={Part.FINDINGS: findings, Part.REPORT: f"{findings} {impression}".strip()},
    )


def _rouge(pair: TextPair | None) -> float | None:
    if pair is None or not pair.reference[Part.FINDINGS]:
        return None
    return rouge_l(pair.reference[Part.FINDINGS], pair.draft[Part.FINDINGS])
