"""The rows of `drafts.jsonl`: the draft of each study, or why there is no draft."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from service.assessment.study_rows import Attribute
from workers.evaluation.cases import Case
from workers.evaluation.studies import header_attributes
from workers.evaluation.vector_json import vector_json
from workers.labeller.findings import label_sentences
from workers.reading.content.scores import disagreements
from workers.reading.outcomes import DraftedImage, NotAnalysed
from workers.retry_policy import code

CAUTION: Final = "unverified AI draft, not a diagnosis"
# So coarse that the order of a batch's sums does not show: figures must not depend on it.
_SCORE_DIGITS: Final = 4
_OF_TEXT: Final = ("findings_text", "impression_text", "notes")


class DraftState(StrEnum):
    """What became of a study; the words of `wetread read --json`."""

    DRAFTED = "DRAFTED"
    NOT_ANALYSED = "NOT_ANALYSED"
    ERROR = "ERROR"


class PromptKind(StrEnum):
    """Which of the site's prompts was used."""

    ADULT = "adult"
    CHILD = "pediatric"


def drafted_row(case: Case, read: DraftedImage, *, keep_text: bool) -> dict[str, Any]:
    """Return the row of a draft; its labels are those of the labeler on its sentences."""
    draft = read.draft
    lines = draft.findings_text + draft.impression_text
    scores = {
        each.observation.value: round(each.score, _SCORE_DIGITS)
        for each in draft.findings
        if each.score is not None
    }
    plain = draft.to_json()
    coded = _coded(lines)
    if not keep_text:
        plain |= {key: [] for key in _OF_TEXT}
        coded["sentences"] = {}
        plain["findings"] = [each | {"sentence": None, "site": None} for each in plain["findings"]]
    word_count = sum(len(line.split()) for line in lines)
    return _row(
        case,
        DraftState.DRAFTED,
        draft=plain,
        **coded,
        scores=scores,
        words=word_count,
        tokens=read.tokens,
        cut=not read.ended,
        conflicts=len(disagreements(draft.findings)),
        vector=vector_json(read.vector) if keep_text else None,
        attributes={
            **{str(key): value for key, value in header_attributes(read.image.header).items()},
            str(Attribute.PROMPT): PromptKind.CHILD if read.image.child else PromptKind.ADULT,
        },
    )


def _coded(lines: Iterable[str]) -> dict[str, Any]:
    """Return what the labeler reads in sentences: presence, side and sentence by finding."""
    coded = label_sentences(lines)
    return {
        "labels": {each.observation.value: each.presence.value for each in coded},
        "sides": {each.observation.value: each.side.value for each in coded if each.side},
        "sentences": {each.observation.value: each.sentence for each in coded if each.sentence},
    }


def labeled_again(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row with the labels of today's labeler; as it is where no text was kept."""
    draft = row.get("draft") or {}
    lines = [*draft.get("findings_text", ()), *draft.get("impression_text", ())]
    return {**row, **_coded(lines)} if lines else row


def empty_row(case: Case) -> dict[str, Any]:
    """Return the row of a study of which the model wrote nothing: an empty draft, which counts."""
    return _row(case, DraftState.DRAFTED, reason_code="EMPTY_TEXT", labels={}, words=0, tokens=0)


def refused_row(case: Case, outcome: NotAnalysed) -> dict[str, Any]:
    """Return the row of a study that the rules of selection do not let be read."""
    return _row(case, DraftState.NOT_ANALYSED, reason_code=outcome.code, reason=outcome.sentence)


def failed_row(case: Case, error: Exception, *, temporary: bool) -> dict[str, Any]:
    """Return the row of a study whose reading failed; a temporary failure is tried again later."""
    return _row(
        case,
        DraftState.ERROR,
        reason_code=code(error),
        reason=str(error),
        temporary=temporary,
    )


def is_finished(row: Mapping[str, Any]) -> bool:
    """Return whether a study need not be read again."""
    return not row.get("temporary", False)


def _row(case: Case, state: DraftState, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"id": case.id, "state": state.value, "caution": CAUTION, **facts}
