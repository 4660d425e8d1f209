"""A search by words: the findings that the labeler reads in it, and the words to look for.

The labeler is a part of `workers`, which the service finds by its entry point and never imports.
"""

import re
from dataclasses import dataclass
from typing import Final

from dicom.content.report import STATED, Observation, Presence
from service.records.search import WantedFinding
from service.settings.model_names import registered_functions

LONGEST: Final = 200  # characters
_MOST_WORDS: Final = 24
# The attribute of an entry point's module that names a function: a text -> findings.
_FUNCTION: Final = "LABELER"
_WORD: Final = re.compile(r"[^\W_]{2,40}")
_STOP_WORD: Final = re.compile(
    r"an?|and|are|as|at|be|by|for|from|has|in|is|it|not?|of|on|or|seen|some|that|the|there|this|to|was"
    r"|with(?:out)?"
)


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What a search in texts asks for.

    Attributes:
        findings: Findings that a text must state.
        words: Words, in lower case; a text with more of them stands first.
    """

    findings: tuple[WantedFinding, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "TextQuery":
        """Return what a text asks for: the findings that it states, and its words."""
        shortened = text[:LONGEST]
        words = dict.fromkeys(word.lower() for word in _WORD.findall(shortened))
        chosen = [word for word in words if not _STOP_WORD.fullmatch(word)][:_MOST_WORDS]
        return cls(findings=tuple(_findings(shortened)), words=tuple(chosen))


def _findings(text: str) -> list[WantedFinding]:
    """Return the findings that the labeler reads in a text; none if `workers` is not installed.

    "possible edema" asks for edema, present or possible.
    """
    return [
        WantedFinding(
            observation=each.observation,
            presence=Presence.ABSENT if each.presence is Presence.ABSENT else Presence.PRESENT,
            side=each.side,
        )
        for labeler in registered_functions(_FUNCTION)
        for each in labeler(text)
        if each.presence in STATED
        # It follows from the other findings: "edema" would ask for a study that is not normal.
        and each.observation is not Observation.NO_FINDING
    ]
