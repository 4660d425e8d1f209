"""The words of a reader study that code compares and the database stores."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from service.evaluation.chexprompt.prompt import ErrorType

SCALE_NAME: Final = "four-step acceptability"


class Arm(StrEnum):
    """Where a text comes from. No reading page and no answer to a reader holds it."""

    DRAFT = "draft"  # a model wrote it
    REFERENCE = "reference"  # a person wrote it


class Rating(StrEnum):
    """The class of a text on the scale of four-step acceptability."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"

    @property
    def is_success(self) -> bool:
        """Whether the text could be sent after minor revision at most."""
        return self in {Rating.A, Rating.B}


class Author(StrEnum):
    """Who wrote the text, in the reader's opinion."""

    SOFTWARE = "software"
    RADIOLOGIST = "radiologist"
    UNSURE = "cannot tell"


class Stage(StrEnum):
    """What was recorded about an item; each once, in this order."""

    OPENED = "opened"  # the text was shown
    RATED = "rated"
    GUESSED = "guessed"


RATING_TEXT: Final[Mapping[Rating, str]] = {
    Rating.A: "No revision: acceptable as it stands",
    Rating.B: "Minor revision: acceptable after a change of wording or of a detail without consequence",
    Rating.C: "Major revision: a finding must be added, removed or changed",
    Rating.D: "Unacceptable: misleading; the report must be written anew",
}
AUTHOR_TEXT: Final[Mapping[Author, str]] = {
    Author.SOFTWARE: "Software",
    Author.RADIOLOGIST: "A radiologist",
    Author.UNSURE: "Cannot tell",
}
ERROR_TEXT: Final[Mapping[ErrorType, str]] = {
    ErrorType.FALSE_FINDING: "False report of a finding",
    ErrorType.OMITTED_FINDING: "Missing finding",
    ErrorType.LOCATION: "Wrong location or position of a finding",
    ErrorType.SEVERITY: "Wrong severity of a finding",
    ErrorType.FALSE_COMPARISON: "Mention of a comparison that cannot be made",
    ErrorType.OMITTED_COMPARISON: "Omission of a comparison",
}
