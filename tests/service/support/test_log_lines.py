"""The log lines of a support bundle: known events only."""

import ast
from pathlib import Path

from service.support.log_lines import MOST_LINES, allowed_lines, known_events
from service.support.pseudonyms import Pseudonyms

ROOT = Path(__file__).parents[3]
KEY = Pseudonyms(b"k" * 32)
LINE = '{"event": "delivered", "level": "info", "timestamp": "2026-11-30T18:00:00Z", "waiting": %d}'


def logged():
    """Yield the name of each event that the code logs by a literal."""
    for folder in ("service", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name("log")),
                        args=[ast.Constant(str(name)), *_],
                    ):
                        yield name


def test_each_known_event_is_one_that_the_code_logs():
    """An event that is not in service/support/events.txt is left out of the bundle."""
    assert sorted(known_events() - set(logged())) == []


def test_the_last_lines_are_kept():
    """Deeply nested, long and broken lines are left out."""
    lines = [LINE % number for number in range(MOST_LINES + 10)]
    lines += ["[" * 100_000, '{"event": "delivered"' + " " * 9000 + "}", "{", "null"]
    found = allowed_lines(lines, KEY)
    assert [each["waiting"] for each in found] == list(range(10, MOST_LINES + 10))
