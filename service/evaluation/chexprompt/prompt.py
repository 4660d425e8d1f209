"""The prompt of CheXprompt in its published layout (microsoft/chexprompt, MIT licence).

The five published example texts are in the style of MIMIC-CXR and are not part of Wetread. A site brings
them as a file; the rendered message must have the digest of the published one. Without the file the
metric has another name, because its counts differ from published ones.
"""

import ast
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.evaluation.values import EvaluationInputError

# Of the user message for these two texts with the published examples.
_PINNED_TEXTS: Final = ("REFERENCE TEXT", "CANDIDATE TEXT")
_PINNED_SHA256: Final = "f80b8e51e6bb399add0cb35502b9a767c5a41443bef6988b9a5dc389a867e2ef"
# The name of the constant in the published `src/chexprompt/evaluator.py`.
_CONSTANT: Final = "EXAMPLES_FORMATTED"
_QUOTES: Final = '"""'


class ErrorType(StrEnum):
    """The six types of errors; the value is the letter in the prompt and in replies."""

    FALSE_FINDING = "A"
    OMITTED_FINDING = "B"
    LOCATION = "C"
    SEVERITY = "D"
    FALSE_COMPARISON = "E"
    OMITTED_COMPARISON = "F"


class Metric(StrEnum):
    """The name of the metric: only with the published examples is it CheXprompt."""

    CHEXPROMPT = "chexprompt"
    ZERO_SHOT = "chexprompt-zero-shot"


_TYPES: Final = {
    ErrorType.FALSE_FINDING: (
        "False prediction of finding that is not present in the reference findings"
    ),
    ErrorType.OMITTED_FINDING: "Omission of finding that is present in the reference findings",
    ErrorType.LOCATION: (
        "Incorrect location/position of finding in the candidate findings compared to the reference "
        "findings"
    ),
    ErrorType.SEVERITY: (
        "Incorrect severity of finding in the candidate findings compared to the reference findings"
    ),
    ErrorType.FALSE_COMPARISON: "Mention of comparison that is not present in the reference findings",
    ErrorType.OMITTED_COMPARISON: (
        "Omission of comparison describing a change from a previous study that is present in the "
        "reference findings"
    ),
}
SIGNIFICANT_HEADER: Final = "Number of clinically significant errors by type:"
INSIGNIFICANT_HEADER: Final = "Number of clinically insignificant errors by type:"
_FORMAT: Final = "[" + ", ".join(f"({each}, n_{each})" for each in ErrorType) + "]"
_EXAMPLES_SENTENCE: Final = " Examples are provided for you."
_SYSTEM: Final = (
    "Instructions: You are an expert radiologist. Judge the diagnostic accuracy of generated radiology "
    "report findings based on a reference findings section. For each error type, count how many errors "
    f"exist in the candidate report.{_EXAMPLES_SENTENCE} For clinically significant and clinically "
    "insignificant errors of 6 error types, count how many of each error type there are. Refer to the "
    "reference and candidate findings as needed to keep maximum accuracy in counting each error type. "
    "Finally, provide the error counts in the list format exactly as it is given to you."
)
_DEFINITION: Final = (
    "A clinically significant error is one that likely affects treatment, management, or outcomes. "
    "There are six error types:"
)
_INSTRUCTIONS: Final = "\n".join(
    [
        _DEFINITION,
        *(f"{letter}) {text}" for letter, text in _TYPES.items()),
        "",
        "Desired output format:",
        f"{SIGNIFICANT_HEADER} {_FORMAT}",
        f"{INSIGNIFICANT_HEADER} {_FORMAT}",
        "##",
    ]
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt with the published examples, or without any.

    Attributes:
        examples: The block of examples, which begins and ends with a line `##`; "" for none.
    """

    examples: str = ""

    def __post_init__(self) -> None:
        """Refuse other examples than the published ones.

        Raises:
            EvaluationInputError: The rendered message has another digest.
        """
        if self.examples and _sha256(self.user(*_PINNED_TEXTS)) != _PINNED_SHA256:
            raise EvaluationInputError(
                "the examples are not the published ones: the message with them has another SHA-256. "
                "Use src/chexprompt/evaluator.py of microsoft/chexprompt unchanged"
            )

    @property
    def metric(self) -> Metric:
        """The name of the metric that this prompt measures."""
        return Metric.CHEXPROMPT if self.examples else Metric.ZERO_SHOT

    @property
    def system(self) -> str:
        """The system message; it mentions examples only where there are some."""
        return _SYSTEM if self.examples else _SYSTEM.replace(_EXAMPLES_SENTENCE, "")

    def user(self, reference: str, candidate: str) -> str:
        """Return the user message for two texts that `cleaned` returned."""
        examples = [self.examples, "##"] if self.examples else []
        texts = (
            f"Reference Findings: {_QUOTES}{reference}{_QUOTES}\n\n"
            f"Candidate Findings: {_QUOTES}{candidate}{_QUOTES}\n\nErrors:"
        )
        return "\n".join([_INSTRUCTIONS, *examples, texts])


def prompt_of_file(content: str) -> Prompt:
    """Return the prompt with the examples of a file.

    Args:
        content: The published `evaluator.py`, of which one text constant is read and nothing executed,
            or the block of examples as plain text.

    Raises:
        EvaluationInputError: The file holds other examples than the published ones, or none.
    """
    content = content.replace("\r\n", "\n")
    if f"\n{_CONSTANT} =" in content:
        return Prompt(_constant(content))
    if not content.strip():
        raise EvaluationInputError("the file of the examples is empty")
    return Prompt(content.strip("\n"))


def cleaned(text: str) -> str:
    """Return a report's text as it is judged: white space collapsed, and no triple quotation mark."""
    return " ".join(text.split()).replace(_QUOTES, '"')


def _constant(source: str) -> str:
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise EvaluationInputError(f"the file of the examples is not Python: {error}") from None
    for node in module.body:
        names = [each.id for each in getattr(node, "targets", ()) if isinstance(each, ast.Name)]
        if isinstance(node, ast.Assign) and _CONSTANT in names:
            value = getattr(node.value, "value", None)
            if isinstance(value, str):
                return value
    raise EvaluationInputError(f"the file of the examples has no text {_CONSTANT}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
