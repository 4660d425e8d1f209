"""Limits for the figures after a change, set beforehand in a TOML file.

set_on = 2026-10-01            # before the evaluation after the change begins
set_by = "Quality board"

[[limit]]
figure = "sensitivity"         # micro_f1, macro_f1, sensitivity, specificity
finding = "pneumothorax"       # f1, sensitivity, specificity, ppv, npv; absent: all together
minimum = 0.85                 # the figure after the change is at least this

[[limit]]
figure = "micro_f1"
largest_drop = 0.03            # after minus before is at least minus this
"""

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.assessment.study_rows import FINDINGS
from service.quality.period import QualityInputError

_MOST_BYTES: Final = 2**16
_Share = Annotated[float, Field(ge=0, le=1)]


class LimitedFigure(StrEnum):
    """The figures that can have a limit."""

    MICRO_F1 = "micro_f1"
    MACRO_F1 = "macro_f1"
    F1 = "f1"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    PPV = "ppv"
    NPV = "npv"


_TOGETHER: Final = (
    LimitedFigure.MICRO_F1,
    LimitedFigure.MACRO_F1,
    LimitedFigure.SENSITIVITY,
    LimitedFigure.SPECIFICITY,
)
_OF_FINDING: Final = (
    LimitedFigure.F1,
    LimitedFigure.SENSITIVITY,
    LimitedFigure.SPECIFICITY,
    LimitedFigure.PPV,
    LimitedFigure.NPV,
)


class Limit(BaseModel):
    """One limit: the lowest value after the change, or the largest drop from before to after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: LimitedFigure
    finding: str = ""
    minimum: _Share | None = None
    largest_drop: _Share | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = _OF_FINDING if self.finding else _TOGETHER
        of = "a finding" if self.finding else "all findings together"
        if self.figure not in known:
            raise ValueError(f"of {of} the figure is one of {', '.join(known)}")
        if self.finding and self.finding not in FINDINGS:
            raise ValueError(f"finding is one of {', '.join(FINDINGS)}, not {self.finding[:40]!r}")
        if (self.minimum is None) == (self.largest_drop is None):
            raise ValueError("give either minimum or largest_drop")
        if self.largest_drop is not None and self.finding and self.figure is not LimitedFigure.F1:
            raise ValueError("largest_drop of a finding is that of its f1")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    set_on: date | None = None
    set_by: str = Field("", max_length=200)
    limit: Annotated[tuple[Limit, ...], Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a file.

    Attributes:
        set_on: When they were set, as the file states; None if it does not.
        sha256: Of the file.
    """

    limits: tuple[Limit, ...]
    set_on: date | None
    set_by: str
    sha256: str

    def is_late(self, started: str) -> bool:
        """Return whether they were set, by their own date, after an evaluation was begun."""
        day = local_day(started)
        return self.set_on is not None and day is not None and self.set_on > day


def local_day(started: str) -> date | None:
    """Return the day, in the site's time zone, of a time in ISO 8601; None where it is none."""
    try:
        return datetime.fromisoformat(started).astimezone().date()
    except (ValueError, OverflowError):
        return None


def read_limits(path: Path) -> Limits:
    """Return the limits of a file.

    Raises:
        QualityInputError: It cannot be read; all faults are listed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise QualityInputError(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise QualityInputError(f"{path}: is larger than {_MOST_BYTES} bytes")
    try:
        found = _File.model_validate(tomllib.loads(content.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise QualityInputError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise QualityInputError(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        faults = [f"  {_place(each['loc'])}: {each['msg']}" for each in error.errors()]
        raise QualityInputError("\n".join((f"{path}: cannot be used:", *faults))) from error
    return Limits(
        limits=found.limit,
        set_on=found.set_on,
        set_by=found.set_by,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _place(location: tuple[int | str, ...]) -> str:
    words = [f"number {part + 1}" if isinstance(part, int) else part for part in location]
    return " ".join(words) or "file"
