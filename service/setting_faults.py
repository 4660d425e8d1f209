"""What is wrong with the settings, in sentences: file, line, key, value, what is allowed, nearest name.

pydantic reports each fault as a location, a type and the value. Its own sentences name Python types;
the sentences here are for the person who edits the file.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic_core import ErrorDetails

from service.errors import ConfigurationError

# The way to a value: names of tables and keys, and numbers of entries (from 0).
Location: TypeAlias = tuple[int | str, ...]

_LONGEST_VALUE: Final = 80
_TABLE = re.compile(r"\s*\[(?P<name>[^\[\]]+)\]")
_REPEATED_TABLE = re.compile(r"\s*\[\[(?P<name>[^\[\]]+)\]\]")
_KEY = re.compile(r"\s*(?P<name>[\w\-\"'. ]+?)\s*=")
_ORDINALS: Final = ("first", "second", "third")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A configuration file that was read.

    Attributes:
        path: Where it is.
        values: What it says.
        lines: The number (from 1) of the line of each table and key.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[Location, int]


def read_toml(path: Path) -> TomlFile:
    """Return what a TOML file says; a byte order mark, as some editors write it, is no fault.

    Raises:
        ConfigurationError: The file cannot be read, is not UTF-8 or is not TOML; the message says
            in which line.
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
        raise ConfigurationError(f"{path}: {_toml_sentence(str(error))}") from None
    return TomlFile(path, values, dict(_lines(text)))


def _toml_sentence(reason: str) -> str:
    """Return tomllib's reason with the place first: "line 3, column 5: not valid TOML: ..."."""
    found = re.fullmatch(r"(?P<what>.*) \(at (?P<where>.+)\)", reason, re.DOTALL)
    if found is None:
        return f"not valid TOML: {reason}"
    return f"{found['where']}: not valid TOML: {found['what'].lower()}"


def _lines(text: str) -> Iterator[tuple[Location, int]]:
    """Yield each table and key with its line; tomllib does not give positions."""
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
    """Return the location of a table's name: within the last entry of each repeated table."""
    location: Location = ()
    parts = _parts(name)
    for position, part in enumerate(parts, 1):
        location = (*location, part)
        if position < len(parts) and location in counts:
            location = (*location, counts[location])
    return location


def sentences(
    faults: Sequence[ErrorDetails],
    *,
    model: type[BaseModel],
    file: TomlFile | None,
    variables: Sequence[str],
) -> list[str]:
    """Return a sentence for each fault that pydantic found.

    Args:
        faults: What `ValidationError.errors()` returned, with inputs.
        model: The class of the settings.
        file: The file that was read; None when there is none.
        variables: The environment variables in force that begin with WETREAD_.
    """
    found = [_sentence(fault, model, file, variables) for fault in faults]
    return sorted(found, key=_line)


def _line(sentence: str) -> int:
    """Return the number of the line that a sentence begins with; 0 when it names none."""
    found = re.match(r"line (\d+): ", sentence)
    return int(found[1]) if found else 0


def _sentence(
    fault: ErrorDetails,
    model: type[BaseModel],
    file: TomlFile | None,
    variables: Sequence[str],
) -> str:
    path = _without_tags(fault["loc"], model)
    place = _place(path, file, variables)
    words = _words(fault, path, model)
    shown = _shown_value(fault, path, model)
    key = _key(path, file)
    subject = f"{key}{'' if shown in words else f' = {shown}'}: " if key else ""
    return f"{place}{subject}{words}"


def _without_tags(location: Location, model: type[BaseModel]) -> Location:
    """Return an error's location without the kind that pydantic puts behind an entry's number."""
    kept: list[int | str] = []
    at: object = model
    for part in location:
        following = _step(at, part)
        if not (isinstance(part, str) and part in _tags(at)):
            kept.append(part)
        at = following
    return tuple(kept)


def _place(path: Location, file: TomlFile | None, variables: Sequence[str]) -> str:
    """Return where the value was given, "" when that is not known."""
    for length in range(len(path), 0, -1):
        name = "WETREAD_" + "__".join(str(part) for part in path[:length]).upper()
        if name in (variable.upper() for variable in variables):
            return f"environment variable {name}: "
        if file is not None and path[:length] in file.lines:
            return f"line {file.lines[path[:length]]}: "
    return ""


def _key(path: Location, file: TomlFile | None) -> str:
    """Return the key as a person would name it: receiver.callers "CR_1", port."""
    text = ""
    value: Any = file.values if file else None
    for part in path:
        value = _item(value, part)
        if isinstance(part, int):
            text += f" {_entry(value, part)},"
        else:
            text += f" {part}" if text.endswith(",") else f".{part}" if text else part
    return text.rstrip(",")


def _item(value: Any, part: int | str) -> Any:  # noqa: ANN401 - anything that TOML can hold
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _entry(value: Any, number: int) -> str:  # noqa: ANN401 - anything that TOML can hold
    """Return what an entry of a repeated table is called: its name, or which one it is."""
    if isinstance(value, Mapping):
        for key in ("name", "ae_title"):
            if isinstance(value.get(key), str):
                return f'"{value[key][:40]}"'
    which = _ORDINALS[number] if number < len(_ORDINALS) else f"{number + 1}th"
    return f"({which} entry)"


def _shown_value(fault: ErrorDetails, path: Location, model: type[BaseModel]) -> str:
    """Return a short, plain value that can hold no secret as text, otherwise ""."""
    value = fault.get("input")
    if fault["type"] in {"missing", "extra_forbidden"} or not isinstance(value, str | int | float):
        return ""
    text = repr(value)
    if _is_secret(_annotation(model, path)) or "://" in text or len(text) > _LONGEST_VALUE:
        return ""
    return text


def _words(fault: ErrorDetails, path: Location, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return _unknown_key(fault, path, model)
    allowed = _ALLOWED.get(fault["type"])
    if allowed is None:
        return fault["msg"].removeprefix("Value error, ")
    return allowed(fault)


def _unknown_key(fault: ErrorDetails, path: Location, model: type[BaseModel]) -> str:
    owner = _annotation(model, path[:-1])
    what = "table" if isinstance(fault.get("input"), Mapping | list) else "key"
    return f"there is no such {what}" + nearest(str(path[-1]), _field_names(owner))


def nearest(name: str, known: Sequence[str]) -> str:
    """Return "; did you mean `x`?", or the known names when none is near, or "" when there are many."""
    if found := get_close_matches(name.lower(), known, n=1, cutoff=0.6):
        return f"; did you mean `{found[0]}`?"
    return f"; allowed are: {', '.join(known)}" if 0 < len(known) <= 12 else ""


def _literal(fault: ErrorDetails) -> str:
    allowed = re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", "")))
    return "not allowed" + _choice(str(fault.get("input")), allowed)


def _kind(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    allowed = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
    return f"kind = {str(context.get('tag', ''))[:40]!r} is not allowed" + _choice(
        str(context.get("tag", "")), allowed
    )


def _choice(given: str, allowed: Sequence[str]) -> str:
    near = get_close_matches(given.lower(), allowed, n=1, cutoff=0.6)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"; allowed are: {', '.join(allowed)}{meant}"


def _fixed(text: str) -> Callable[[ErrorDetails], str]:
    return lambda _fault: text


def _limit(text: str, name: str) -> Callable[[ErrorDetails], str]:
    return lambda fault: text.format(fault.get("ctx", {}).get(name))


_ALLOWED: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": _fixed("is required"),
    "literal_error": _literal,
    "union_tag_invalid": _kind,
    "union_tag_not_found": _fixed("kind is required: it says which kind of entry this is"),
    "bool_parsing": _fixed("must be true or false"),
    "bool_type": _fixed("must be true or false"),
    "int_parsing": _fixed("must be a whole number"),
    "int_type": _fixed("must be a whole number"),
    "int_from_float": _fixed("must be a whole number"),
    "float_parsing": _fixed("must be a number"),
    "float_type": _fixed("must be a number"),
    "finite_number": _fixed("must be a finite number"),
    "string_type": _fixed('must be text, in "quotation marks"'),
    "path_type": _fixed('must be a path, in "quotation marks"'),
    "tuple_type": _fixed("must be a list: [...]"),
    "model_type": _fixed("must be a table"),
    "model_attributes_type": _fixed("must be a table"),
    "string_too_short": _limit("must have at least {} character", "min_length"),
    "string_too_long": _limit("must have at most {} characters", "max_length"),
    "greater_than": _limit("must be greater than {}", "gt"),
    "greater_than_equal": _limit("must be at least {}", "ge"),
    "less_than": _limit("must be less than {}", "lt"),
    "less_than_equal": _limit("must be at most {}", "le"),
}


def _annotation(model: type[BaseModel], path: Location) -> object:
    """Return the annotation that a location leads to; None when it leads nowhere."""
    at: object = model
    for part in path:
        at = _step(at, part)
    return at


def _step(annotation: object, part: int | str) -> object:
    """Return the annotation one step further: of a field, of an entry, or of the entry's kind."""
    if isinstance(part, int):
        arguments = [each for each in get_args(annotation) if each is not Ellipsis]
        entries = [each for each in _alternatives(annotation) if get_origin(each) is tuple]
        return get_args(entries[0])[0] if entries else next(iter(arguments), None)
    for candidate in _models(annotation):
        if part in _tags_of(candidate):
            return candidate
    for candidate in _models(annotation):
        if part in candidate.model_fields:
            return candidate.model_fields[part].annotation
    return None


def _alternatives(annotation: object) -> Iterator[object]:
    """Yield the parts of a union, the thing itself when it is none; Annotated is looked through."""
    if hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple or not get_args(annotation):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _alternatives(part)


def _models(annotation: object) -> list[type[BaseModel]]:
    found = _alternatives(annotation)
    return [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]


def _tags(annotation: object) -> set[str]:
    models = _models(annotation)
    return {tag for model in models for tag in _tags_of(model)} if len(models) > 1 else set()


def _tags_of(model: type[BaseModel]) -> tuple[str, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def _field_names(annotation: object) -> list[str]:
    return sorted({name for model in _models(annotation) for name in model.model_fields})


def _is_secret(annotation: object) -> bool:
    return any(each is SecretStr for each in _alternatives(annotation))
