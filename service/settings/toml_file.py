"""Reads a TOML file with the line of each key, and explains its mistakes."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.errors import ConfigurationError
from service.settings.rules import Location

_TABLE = re.compile(r"\s*\[(?P<name>[^\[\]]+)\]")
_REPEATED_TABLE = re.compile(r"\s*\[\[(?P<name>[^\[\]]+)\]\]")
_KEY = re.compile(r"\s*(?P<name>[\w\-\"'. ]+?)\s*=")
_PLACE = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_TWICE: Final = "is written twice: write it once, with all its keys below it"
# The beginning of a message of `tomllib`, and its meaning for the person who edits the file.
_SENTENCES: Final[Mapping[str, str]] = {
    "Expected ']' at the end of a table": "the name of a table ends with a bracket: [receiver]",
    "Expected ']]' at the end of an array": "the name of a repeated table ends with two brackets: "
    "[[destinations]]",
    "Expected '=' after a key": "a key is followed by = and a value: port = 11112",
    "Invalid initial character for a key": "a key begins with a letter, and a table's name is written "
    "in brackets: [receiver]",
    "Expected newline or end of document": "a line holds one key and one value; text is written in "
    '"quotation marks"',
    "Invalid statement": "a line begins with a key, or with the name of a table in brackets",
    "Invalid value": 'a value is a number, true, false, a list [...] or text in "quotation marks"',
    "Cannot overwrite a value": "a key is given twice in this table: remove one of the two",
    "Cannot declare": f"a table {_TWICE}",
    "Cannot mutate immutable namespace": f"a table {_TWICE}",
    "Cannot redefine namespace": f"a table {_TWICE}",
    "Cannot expand": f"a table {_TWICE}",
    "Duplicate inline table key": "a key is given twice between the braces: remove one of the two",
    "Unclosed array": "a list ends with a bracket, and commas separate its entries: [1, 2]",
    "Unclosed inline table": "a table in braces ends with a brace, on the same line: {a = 1, b = 2}",
    "Unterminated string": "a text has no quotation mark at its end",
    'Expected "\'"': "a text has no quotation mark at its end",
    "Expected '\"": "a text has no quotation mark at its end",
    "Illegal character '\\n'": "a text has no quotation mark at its end",
    "Illegal character": "a text or a comment contains a control character: remove it",
    "Found invalid character": "a text or a comment contains a control character: remove it",
    "Unescaped '\\'": "a backslash in a text is written twice (\\\\), or the text is written in "
    "'single quotation marks'",
    "Invalid hex value": "\\u is followed by 4 digits, \\U by 8; a backslash itself is written "
    "twice (\\\\)",
    "Invalid date or datetime": "there is no such date",
}
_UNNAMED: Final = "this cannot be understood: compare it with the examples of docs/configuration.md"


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed configuration file.

    Attributes:
        path: The path of the file.
        values: The parsed values.
        lines: The line number (from 1) of each table and key.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[Location, int]


def read_toml(path: Path) -> TomlFile:
    """Read a TOML file; a byte order mark, which some editors write, is accepted.

    Raises:
        ConfigurationError: The file cannot be read, is not UTF-8 or is not TOML; the message names
            the line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}, line {line}: a character is not UTF-8 (byte 0x{raw[error.start]:02X}): "
            "save the file with the encoding UTF-8"
        ) from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}{_toml_sentence(str(error))}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: not valid TOML: lists are nested too deeply") from None
    return TomlFile(path, values, dict(_lines(text)))


def _toml_sentence(reason: str) -> str:
    """Return the message for an error of `tomllib`: ", line 3, column 5: not valid TOML: ..."."""
    found = _PLACE.fullmatch(reason)
    what = found["what"] if found else reason
    place = ", at its end"
    if found and found["line"]:
        place = f", line {found['line']}, column {found['column']}"
    meaning = next(
        (meaning for begin, meaning in _SENTENCES.items() if what.startswith(begin)), _UNNAMED
    )
    if found and not found["line"] and what == "Invalid value":
        meaning = "a value is missing, or the bracket at the end of a list"
    return f"{place}: not valid TOML: {meaning}"


def _lines(text: str) -> Iterator[tuple[Location, int]]:
    """Yield each table and key with its line, since tomllib gives no positions."""
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _REPEATED_TABLE.match(line):
            name = _resolved(found["name"], counts)
            counts[name] = counts.get(name, -1) + 1
            table = (*name, counts[name])
            yield table, number
        elif found := _TABLE.match(line):
            table = _resolved(found["name"], counts)
            yield table, number
        elif found := _KEY.match(line):
            yield (*table, *_parts(found["name"])), number


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _resolved(name: str, counts: Mapping[Location, int]) -> Location:
    """Return the location of a table by its name, in the last entry so far of each repeated table."""
    location: Location = ()
    parts = _parts(name)
    for position, part in enumerate(parts, 1):
        location = (*location, part)
        if position < len(parts) and location in counts:
            location = (*location, counts[location])
    return location
