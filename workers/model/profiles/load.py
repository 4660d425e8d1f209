"""Reads profiles and names every fault with its file, line and key."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workers.model.errors import CheckpointError
from workers.model.profiles.allowed import allowed
from workers.model.profiles.profile import BETWEEN_KEYS, Profile

SHIPPED: Final = Path(__file__).with_name("shipped")
_MAX_BYTES: Final = 256 * 2**10
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_LONGEST_VALUE: Final = 60
_QUOTES: Final = ('"""', "'''")


_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class ProfileError(CheckpointError):
    """A profile is missing or has faults; the message names the file and each line and key."""


def shipped_names() -> tuple[str, ...]:
    """Return the names of the profiles that are part of Wetread, sorted."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def find_profile(name: str) -> Path:
    """Return the file of a shipped profile's name, or of a path.

    Raises:
        ProfileError: It is neither.
    """
    if _PLAIN_NAME.fullmatch(name) and name in shipped_names():
        return SHIPPED / f"{name}.toml"
    path = Path(name)
    if path.is_file():
        return path
    raise ProfileError(
        f"profile {name}: there is no file {path.absolute()}, and no shipped profile has this name; "
        f"shipped are {', '.join(shipped_names())}"
    )


def load_profile(path: Path) -> Profile:
    """Return the profile in a TOML file.

    Raises:
        ProfileError: It cannot be read, or has faults; the message names all of them.
    """
    text = _text(path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path}: {_not_toml(str(error), text)}") from None
    except RecursionError:
        raise ProfileError(f"{path}: not TOML: lists are nested too deeply") from None
    try:
        # JSON's strict mode takes a list for a tuple and a text for an enumeration, nothing else.
        return Profile.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        faults = dict.fromkeys(_sentence(one, text) for one in error.errors())
        raise ProfileError(f"{path}: " + "; ".join(sorted(faults, key=_number))) from None


def profile_fault(name: str) -> str:
    """Return what is wrong with the profile of a shipped name or a path, "" if nothing is."""
    try:
        load_profile(find_profile(name))
    except ProfileError as error:
        return str(error)
    return ""


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise ProfileError(f"{path}: larger than {_MAX_BYTES // 1024} KiB: not a profile")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ProfileError(
            f"{path}: line {line}: a character is not UTF-8: save the file as UTF-8"
        ) from None


def _not_toml(reason: str, text: str) -> str:
    """Return a fault of the form of the file as `line N: key: not TOML: what was expected`."""
    lines = text.splitlines() or [""]
    found = _PLACE.search(reason)
    number = int(found[1]) if found and found[1] else len(lines)
    key = lines[min(number, len(lines)) - 1].partition("=")[0].strip()[:_LONGEST_VALUE]
    place = f"line {number}: {key}: " if key else f"line {number}: "
    return f"{place}not TOML: {_PLACE.sub('', reason)}"


def _sentence(error: ErrorDetails, text: str) -> str:
    """Return a fault as `line N: key: what is wrong and what to do`."""
    path = [str(part) for part in error["loc"] if not isinstance(part, int)]
    if error["type"] == BETWEEN_KEYS:
        path.append(str(error["ctx"]["key"]))
    line = _line(text, path)
    place = f"line {line}: " if line else ""
    return f"{place}{'.'.join(path)}: {_message(error, path)}"


def _number(sentence: str) -> int:
    """Return the number of the line with which a sentence begins; 0 if there is none."""
    found = re.match(r"line (\d+)", sentence)
    return int(found[1]) if found else 0


def _message(error: ErrorDetails, path: list[str]) -> str:
    kind = error["type"]
    if kind == BETWEEN_KEYS:
        return error["msg"]
    if kind == "extra_forbidden":
        return _unknown(path)
    if kind == "missing":
        return f"is required: add it, with {allowed(error['loc'])}"
    return f"{_shown(error)} is not allowed: use {allowed(error['loc'])}"


def _shown(error: ErrorDetails) -> str:
    value = error["input"]
    # As the file has it: lower-case true and false.
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}..."


def _unknown(path: list[str]) -> str:
    known = list(_fields(Profile, path[:-1]))
    near = difflib.get_close_matches(path[-1], known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"there is no such key; {meant}allowed here: {', '.join(known)}"


def _fields(table: type[BaseModel], path: list[str]) -> Iterator[str]:
    """Yield the keys of the table at `path`."""
    for part in path:
        field = table.model_fields.get(part)
        options = (field.annotation, *getattr(field.annotation, "__args__", ())) if field else ()
        table = next(
            (one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), table
        )
    # An excluded field is a key that is known only to be refused with its reason.
    yield from (name for name, field in table.model_fields.items() if not field.exclude)


def _line(text: str, path: list[str]) -> int:
    """Return the number of the line that gives the key, or else its table; 0 if none does."""
    table: tuple[Any, ...] = ()
    found = 0
    quotes = ""  # those that end the text of several lines in which the line stands
    for number, line in enumerate(text.splitlines(), start=1):
        if quotes:
            quotes = "" if quotes in line else quotes
            continue
        quotes = next((one for one in _QUOTES if line.count(one) % 2), "")
        if heading := re.match(r"\s*\[\s*([\w.]+)\s*\]", line):
            table = tuple(heading[1].split("."))
            if list(table) == path[:-1] or list(table) == path:
                found = number
            continue
        key = re.match(r"\s*([\w.]+)\s*=", line)
        if key and [*table, *key[1].split(".")] == path:
            return number
    return found
