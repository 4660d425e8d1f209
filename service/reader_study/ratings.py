"""What a reader records about one text: class, errors, edited text, time, guess of its author."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from service.evaluation.chexprompt.prompt import ErrorType
from service.reader_study.errors import InvalidReaderStudy
from service.reader_study.words import Author, Rating

LONGEST_TEXT: Final = 8_000  # characters
_MOST_ERRORS: Final = 100
_MOST_SECONDS: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextError:
    """An error that a reader marked.

    Attributes:
        start: Of the marked characters; equal to `end` for an error of the whole text (an omission).
        end: The character after the last marked one.
        significant: Whether it could change what is done for the patient.
    """

    start: int
    end: int
    type: ErrorType
    significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingEntry:
    """What a reader recorded about a text before the guess of its author.

    Attributes:
        edited: The text as the reader would send it; None if it was not edited.
        image_seconds: Time in focus with the image alone.
        text_seconds: Time in focus with image and text.
    """

    rating: Rating
    errors: tuple[TextError, ...]
    edited: str | None
    image_seconds: float
    text_seconds: float

    @classmethod
    def from_json(cls, body: Mapping[str, Any], *, length: int) -> Self:
        """Return the entry of a request.

        Args:
            body: The JSON object.
            length: Characters of the text that was rated.

        Raises:
            InvalidReaderStudy: A value is missing, unknown or of the wrong type.
        """
        errors = body.get("errors", [])
        if not isinstance(errors, list) or len(errors) > _MOST_ERRORS:
            raise InvalidReaderStudy(f"errors: a list of at most {_MOST_ERRORS} marked errors.")
        edited = body.get("edited")
        if edited is not None and not (isinstance(edited, str) and len(edited) <= LONGEST_TEXT):
            raise InvalidReaderStudy(f"edited: a text of at most {LONGEST_TEXT} characters.")
        return cls(
            rating=_rating(body.get("rating")),
            errors=tuple(_error(each, length) for each in errors),
            edited=edited,
            image_seconds=_seconds(body, "image_seconds"),
            text_seconds=_seconds(body, "text_seconds"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON types, from which `from_json` makes an equal one."""
        return {
            "rating": self.rating.value,
            "errors": [
                {
                    "start": each.start,
                    "end": each.end,
                    "type": each.type.value,
                    "significant": each.significant,
                }
                for each in self.errors
            ],
            "edited": self.edited,
            "image_seconds": self.image_seconds,
            "text_seconds": self.text_seconds,
        }

    @property
    def digest(self) -> str:
        """SHA-256 of what was judged, without the times: equal for a request that is sent twice."""
        judged = {key: value for key, value in self.to_json().items() if "seconds" not in key}
        return digest_of(judged)


def author_of(body: Mapping[str, Any]) -> Author:
    """Return the guess in a request.

    Raises:
        InvalidReaderStudy: It is none of the known words.
    """
    try:
        return Author(str(body.get("author")))
    except ValueError:
        raise InvalidReaderStudy(f"author: one of {', '.join(Author)}.") from None


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON types, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _rating(value: object) -> Rating:
    try:
        return Rating(str(value))
    except ValueError:
        raise InvalidReaderStudy(f"rating: one of {', '.join(Rating)}.") from None


def _error(value: object, length: int) -> TextError:
    if not isinstance(value, Mapping):
        raise InvalidReaderStudy("errors: objects with start, end, type and significant.")
    start, end = _whole(value.get("start")), _whole(value.get("end"))
    significant = value.get("significant")
    if not 0 <= start <= end <= length:
        raise InvalidReaderStudy(f"errors: start and end lie between 0 and {length}.")
    if not isinstance(significant, bool):
        raise InvalidReaderStudy("errors: significant is true or false.")
    try:
        kind = ErrorType(str(value.get("type")))
    except ValueError:
        raise InvalidReaderStudy(f"errors: type is one of {', '.join(ErrorType)}.") from None
    return TextError(start=start, end=end, type=kind, significant=significant)


def _whole(value: object) -> int:
    """Return a whole number, -1 for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _seconds(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= float(value or 0) <= _MOST_SECONDS:
        raise InvalidReaderStudy(f"{name}: a number of seconds from 0 to {_MOST_SECONDS:.0f}.")
    return round(float(value or 0), 1)
