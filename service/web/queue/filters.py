"""The filters of the queue's page: parsed from a URL, written to one, and as words."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

from starlette.exceptions import HTTPException

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_ae_title
from service.jobs import ALARMS, DraftStatus, JobState
from service.monitoring.state_names import state_word
from service.store.job_lists.criteria import JobFilter

_AGE: Final = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_CAUSE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_LONGEST: Final = {"destination": 40, "model": 64, "text": 100}
_SHORTEST_TEXT: Final = 2
# The words for the filters in sentences.
_WORDS: Final = {
    "state": "state",
    "calling_ae": "calling AE",
    "destination": "destination",
    "model": "model",
    "older_than": "older than",
    "cause": "cause",
    "text": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChoice:
    """Which jobs the page lists; "" and None are no condition.

    Attributes:
        state: Only jobs in this state, or whose draft has this status.
        calling_ae: Only studies from this calling AE title.
        destination: Only jobs with results for this destination (`JobFilter.destination`).
        model: Only jobs of this model.
        older_than: Only jobs made longer ago: a number and m, h or d.
        cause: Only jobs with this code of a reason.
        text: Study Instance UID, calling AE title or patient (`JobFilter.text`).
        before: Only jobs older than the one with this id: the next page.
    """

    state: JobState | DraftStatus | None = None
    calling_ae: str = ""
    destination: str = ""
    model: str = ""
    older_than: str = ""
    cause: str = ""
    text: str = ""
    before: str = ""

    @property
    def query(self) -> dict[str, str]:
        """Return the parameters of a URL with the same filters, without the page."""
        return {name: str(value) for name in FILTERS if (value := getattr(self, name))}

    @property
    def key(self) -> str:
        """Return the key of the live view, equal for equal choices."""
        return f"queue {sorted(self.query.items())} {self.before}"

    @property
    def is_filtered(self) -> bool:
        """Whether any filter but the state is given."""
        return bool(self.query.keys() - {"state"})

    def words(self, *, hides_text: bool = False) -> str:
        """Return the filters as words; `hides_text` for records without patient attributes."""
        shown: list[str] = []
        for name, value in self.query.items():
            if name == "state":
                shown.append(f"{_WORDS[name]} {state_word(value)}")
            elif name == "text" and hides_text:
                shown.append("text (given, not recorded)")
            else:
                shown.append(f"{_WORDS[name]} {value}")
        return ", ".join(shown)

    def job_filter(self, now: datetime) -> JobFilter:
        """Return the filter for the store."""
        is_status = isinstance(self.state, DraftStatus)
        return JobFilter(
            states=(self.state,) if isinstance(self.state, JobState) else (),
            status=self.state if isinstance(self.state, DraftStatus) and is_status else None,
            calling_ae=self.calling_ae,
            destination=self.destination,
            model=self.model,
            created_before=now - _age(self.older_than) if self.older_than else None,
            cause=self.cause,
            text=self.text,
        )


FILTERS: Final = tuple(each.name for each in fields(QueueChoice) if each.name != "before")
_EXAMPLES: Final = "m, h or d, for example 30m, 2h or 3d"


def parse_choice(parameters: Iterable[tuple[str, str]]) -> QueueChoice:
    """Parse the parameters of a URL or the fields of a form; an empty value is no filter.

    Raises:
        HTTPException: 400, with the parameter that is unknown, given twice or invalid.
    """
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in {*FILTERS, "before"}:
            raise HTTPException(
                400, f"{name[:40]!a} is not a filter. The filters are {', '.join(FILTERS)}."
            )
        if name in given:
            raise HTTPException(400, f"{name}: give it only once.")
        given[name] = value.strip()
    return QueueChoice(
        state=_state(given.get("state", "")),
        calling_ae=_calling_ae(given.get("calling_ae", "")),
        older_than=_older_than(given.get("older_than", "")),
        cause=_cause(given.get("cause", "")),
        before=given.get("before", ""),
        **_texts(given),
    )


def _state(word: str) -> JobState | DraftStatus | None:
    if not word:
        return None
    try:
        return DraftStatus(word) if word in ALARMS else JobState(word)
    except ValueError:
        names = ", ".join([*JobState, *ALARMS])
        raise HTTPException(400, f"state: there is no such state. Use one of {names}.") from None


def _calling_ae(title: str) -> str:
    try:
        return check_ae_title(title) if title else ""
    except InvalidIdentifier as error:
        raise HTTPException(400, f"calling_ae: {error}.") from None


def _older_than(word: str) -> str:
    if word and not _AGE.fullmatch(word):
        raise HTTPException(400, f"older_than: a number and {_EXAMPLES}.")
    return word


def _age(word: str) -> timedelta:
    found = _AGE.fullmatch(word)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()


def _cause(word: str) -> str:
    code = word.upper()
    if word and not (word.isascii() and _CAUSE.fullmatch(code)):
        raise HTTPException(400, "cause: the code of a reason, for example NOT_DELIVERED.")
    return code


def _texts(given: Mapping[str, str]) -> dict[str, str]:
    found = {name: given.get(name, "") for name in _LONGEST}
    for name, value in found.items():
        if len(value) > _LONGEST[name] or not value.isprintable():
            raise HTTPException(400, f"{name}: at most {_LONGEST[name]} printable characters.")
    if 0 < len(found["text"]) < _SHORTEST_TEXT:
        raise HTTPException(400, f"text: at least {_SHORTEST_TEXT} characters.")
    return found
