"""Log lines for a support bundle: known events with known keys, in JSON; everything else is left out."""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from service.support.pseudonyms import Pseudonyms

MOST_LINES: Final = 500
# Lines of a log that are looked at, from its end.
_LOOKED_AT: Final = 20_000
_LONGEST_LINE: Final = 8192
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_NUMBERS: Final = frozenset(
    {"attempts", "callers", "count", "files", "images", "made_due", "port", "revision", "seconds"}
    | {"restarts", "waiting", "exit_status"}
)
# Hashed: they name studies, jobs, persons, machines or models.
_IDENTIFIERS: Final = frozenset(
    {"job_id", "study_uid", "sop_instance_uid", "calling_ae", "called_ae", "address", "owner"}
    | {"destination", "model", "name", "host", "archive", "token", "question_id", "decision_id"}
)


@cache
def known_events() -> frozenset[str]:
    """Return the names of all events that this program logs."""
    return frozenset((files("service.support") / "events.txt").read_text("ascii").split())


def allowed_lines(lines: Iterable[str], pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return the last events of a log in JSON that are known, with the keys that are allowed.

    Args:
        lines: The lines of the log, the oldest first.
        pseudonyms: Hashes the identifiers.
    """
    # Never the whole log in memory.
    found = [_allowed(_parsed(line), pseudonyms) for line in deque(lines, _LOOKED_AT)]
    return [each for each in found if each][-MOST_LINES:]


def _parsed(line: str) -> Mapping[str, Any]:
    if len(line) > _LONGEST_LINE:
        return {}
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _allowed(event: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return the allowed keys of an event; {} if it is not one of this program."""
    name, level, at = event.get("event"), event.get("level"), event.get("timestamp")
    if name not in known_events() or level not in _LEVELS:
        return {}
    if not isinstance(at, str) or not _TIME.fullmatch(at):
        return {}
    kept: dict[str, Any] = {"timestamp": at, "level": level, "event": name}
    for key, value in event.items():
        if key in _NUMBERS and isinstance(value, int | float):
            kept[key] = value
        elif key in _IDENTIFIERS and isinstance(value, str):
            kept[key] = pseudonyms.of(value)
    return kept
