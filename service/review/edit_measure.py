"""How much a person changed a draft, in numbers and as aligned sentences and words. Pure."""

from dataclasses import dataclass
from typing import Any, Self

from service.evaluation.edits import SentenceEdit, align, measure
from service.evaluation.values import Undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEdits:
    """What was changed between a draft and the text that was decided.

    Attributes:
        distance: Words inserted, deleted or replaced, the fewest possible.
        share: Distance over the words of the longer text, 0 to 1; None where both are empty.
        sentences: Number of the draft's sentences.
        kept: How many of them stand unchanged.
        opcodes: The aligned sentences as JSON types, each with its runs of words where it was changed.
    """

    distance: int
    share: float | None
    sentences: int
    kept: int
    opcodes: tuple[dict[str, Any], ...]

    @classmethod
    def between(cls, draft: str, final: str) -> Self:
        """Return the edits between two texts, one sentence per line."""
        found = measure(draft, final)
        return cls(
            distance=found.distance,
            share=None if isinstance(found.ratio, Undefined) else found.ratio,
            sentences=found.sentences,
            kept=found.kept,
            opcodes=tuple(_opcode(each) for each in align(draft, final)),
        )


def _opcode(edit: SentenceEdit) -> dict[str, Any]:
    word_edits = [
        {"edit": each.edit.value, "before": " ".join(each.before), "after": " ".join(each.after)}
        for each in edit.word_edits
    ]
    return {
        "edit": edit.edit.value,
        "before": edit.before,
        "after": edit.after,
        **({"words": word_edits} if word_edits else {}),
    }
