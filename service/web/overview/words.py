"""Numbers, durations and causes in words."""

from datetime import datetime
from typing import Final

from service.jobs import ReasonCode
from service.monitoring.overview_figures import Span

_UNITS: Final = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_CAUSES: Final = {
    ReasonCode.NOT_DELIVERED.value: "Not delivered",
    ReasonCode.WORKER_LOST.value: "Worker lost too often",
    ReasonCode.LEASE_EXPIRED.value: "Lease expired",
}


def duration(seconds: float | None) -> str:
    """Return a duration with two digits and its unit: "3.4 s", "1 min"; a dash for None."""
    if seconds is None:
        return "–"
    for size, unit in _UNITS:
        if seconds >= size:
            value = seconds / size
            return f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{seconds:.2g} s"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 study", "1,240 studies"."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"


def studies(count: int) -> str:
    """Return a number of studies in words."""
    return counted(count, "study", "studies")


def cause_words(code: str) -> str:
    """Return the words for the code of a cause."""
    return _CAUSES.get(code) or code.replace("_", " ").capitalize() or "No cause recorded"


def point_words(at: datetime, span: Span) -> str:
    """Return the beginning of an hour or the date of a day, in the site's time zone."""
    local = at.astimezone()
    return f"{local:%H:%M}" if span is Span.DAY else f"{local:%d %b}"
