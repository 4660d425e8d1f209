"""The record that describes one operation of the JSON API for its OpenAPI description."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel

Schema = Mapping[str, Any]


class Tag(StrEnum):
    """The groups of operations."""

    JOBS = "Jobs and studies"
    REVIEWS = "Reviews and decisions"
    QUESTIONS = "Questions to the model"
    MODELS = "Models and drafting"
    REPORTS = "Final reports"
    NETWORK = "Calling AEs and destinations"
    ALERTS = "Alerts and the end-to-end check"
    SERVICE = "This API"


class Place(StrEnum):
    """Where a parameter stands in the request (OpenAPI 3.1, Parameter Object `in`)."""

    QUERY = "query"
    HEADER = "header"
    PATH = "path"


class Once(StrEnum):
    """Whether an operation takes an Idempotency-Key."""

    NEVER = "never"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the query, the headers or the path."""

    name: str
    description: str
    schema: Schema
    place: Place = Place.QUERY
    required: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the Parameter Object of OpenAPI 3.1."""
        return {
            "name": self.name,
            "in": self.place.value,
            "required": self.required,
            "description": self.description,
            "schema": dict(self.schema),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What the description says about one operation.

    Attributes:
        name: Its `operationId`.
        summary: One sentence.
        answer: Model of the response; None for JSON of any form.
        body: Model of the body; None without one.
        parameters: Of the query and the headers; those of the path follow from the path.
        creates: Whether the first request is answered 201, and a repetition 200.
        errors: Further statuses, with the reason for each.
        error_answers: Models of errors that say more than the sentence.
        once: Whether it takes an Idempotency-Key.
    """

    name: str
    summary: str
    tag: Tag
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    creates: bool = False
    errors: Mapping[int, str] = field(default_factory=dict)
    error_answers: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    once: Once = Once.NEVER


TEXT: Final[Schema] = {"type": "string"}
MOMENT: Final[Schema] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
}
LIMIT: Final = Parameter(
    name="limit",
    description="Most entries of a page.",
    schema={"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
)
CURSOR: Final = Parameter(
    name="cursor",
    description="`next` of the page before.",
    schema={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"},
)
BEFORE: Final = Parameter(
    name="before",
    description="Older name of `cursor`; an id of an entry is accepted too.",
    schema={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"},
)
CONFLICT: Final = "The state does not permit it; the sentence says why."
