"""Cards of wrong studies for the report: image, outlines, the draft's sentence, and the truth."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from service.assessment.mistakes import Mistake, Trait, mistakes
from service.assessment.mistakes_page import chosen, group_title
from service.assessment.study_rows import Attribute, StudyRow
from service.evaluation.report import Card, Outline
from workers.evaluation.assembled import Assembled
from workers.evaluation.finding_columns import Box
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.safe_names import picture_name
from workers.evaluation.truth import Truth

_LONGEST: Final = 400  # characters of a text on a card


def cards_of(
    run: RunDirectory, found: Assembled, rows: Sequence[StudyRow]
) -> dict[str, list[Card]]:
    """Return the cards of the first mistakes of each group, by the group's title."""
    cards: dict[str, list[Card]] = {}
    scores = {row.id: row.scores for row in rows}
    for one in chosen(mistakes(rows)):
        title = group_title(one.finding, one.kind.value)
        draft, truth = found.drafts[one.study], found.truths[one.study]
        score = scores[one.study].get(one.finding)
        cards.setdefault(title, []).append(_card(run, one, draft, truth, score))
    return cards


def _card(
    run: RunDirectory, one: Mistake, draft: Mapping[str, Any], truth: Truth, score: float | None
) -> Card:
    source = (draft.get("draft") or {}).get("source") or {}
    return Card(
        title=f"{one.finding.capitalize()} {one.kind.value}",
        picture=_picture(run, one.study),
        columns=int(source.get("columns", 1)),
        rows=int(source.get("rows", 1)),
        outlines=tuple(_outlines(one, draft, truth)),
        lines=tuple(_lines(one, draft, truth, score)),
    )


def _picture(run: RunDirectory, study: str) -> str:
    path = run.folder / picture_name(study)
    if not path.exists():
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _outlines(one: Mistake, draft: Mapping[str, Any], truth: Truth) -> Iterator[Outline]:
    for finding in (draft.get("draft") or {}).get("findings", ()):
        if finding["observation"] == one.finding and finding.get("region"):
            points = tuple((float(x), float(y)) for x, y in finding["region"]["points"])
            yield Outline("model", points)
    box = truth.cells.boxes.get(one.finding)
    if box is not None:
        yield Outline("truth", _corners(box))


def _corners(box: Box) -> tuple[tuple[float, float], ...]:
    left, top, width, height = box
    right, bottom = left + width, top + height
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _lines(
    one: Mistake, draft: Mapping[str, Any], truth: Truth, score: float | None
) -> Iterator[tuple[str, str]]:
    yield "Truth", _truth_text(one, truth)
    yield "Unverified AI draft", _draft_text(one, draft)
    if score is not None:
        yield "Score of the model", f"{score:.2f}"
    traits = [f"{trait.value} {one.traits[trait]}" for trait in Trait if trait in one.traits]
    names = (Attribute.VIEW, Attribute.DEVICE, Attribute.PROMPT)
    known = [f"{name.value} {one.attributes[name]}" for name in names]
    yield "Details", "; ".join([*traits, *known])
    yield "Study", one.study


def _truth_text(one: Mistake, truth: Truth) -> str:
    label = truth.labels.get(one.finding)
    state = "absent" if label is None else label.name.lower()
    side = truth.cells.sides.get(one.finding)
    size = truth.cells.sizes.get(one.finding)
    stated = ", ".join(
        [state, *([side] if side else []), *([f"size {size:g}"] if size is not None else [])]
    )
    if truth.text is None:
        return stated
    coded = {each.observation.value: each for each in truth.text.coded}[one.finding]
    return f"{stated}: {_short(coded.sentence or ' '.join(truth.text.sentences))}"


def _draft_text(one: Mistake, draft: Mapping[str, Any]) -> str:
    sentence = draft.get("sentences", {}).get(one.finding)
    if sentence:
        return _short(sentence)
    content = draft.get("draft") or {}
    text = " ".join((*content.get("findings_text", ()), *content.get("impression_text", ())))
    state = draft.get("labels", {}).get(one.finding, "not mentioned")
    return f"{state}. {_short(text)}".strip() if text else f"{state} (no text kept)"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
