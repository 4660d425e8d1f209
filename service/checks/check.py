"""The checks of `wetread check`: definition, outcome, and how a list of them is run."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from dicom.errors import DicomError
from service.errors import WetreadError


class Grade(StrEnum):
    """What a check found."""

    OK = "ok"
    NOTE = "note"  # missing, but created by the first start
    WARNING = "warning"  # the service works; an administrator should know
    FAULT = "FAULT"  # the service does not work, or not fully


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found, with one sentence for the administrator."""

    detail: str
    grade: Grade = Grade.OK


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the site and the function that checks it.

    Attributes:
        what: The part, such as "broker".
        probe: Returns the outcome; a `WetreadError`, `DicomError` or `OSError` counts as a fault.
    """

    what: str
    probe: Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check."""

    what: str
    outcome: Outcome

    @property
    def is_fault(self) -> bool:
        """Whether the check found a fault."""
        return self.outcome.grade is Grade.FAULT

    def line(self) -> str:
        """Return the result as one line of text."""
        return f"{self.outcome.grade:<8} {self.what}: {self.outcome.detail}"


def results(checks: Iterable[Check]) -> Iterator[Result]:
    """Run the checks one after the other and yield each result at once."""
    for check in checks:
        yield Result(check.what, _outcome(check))


def _outcome(check: Check) -> Outcome:
    try:
        return check.probe()
    except (WetreadError, DicomError, OSError) as error:
        return Outcome(str(error), Grade.FAULT)
