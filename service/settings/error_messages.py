"""Messages for wrong settings: line, key, value, what is allowed, nearest name.

pydantic reports each fault as a location, a type and the value. Its own messages name Python types; the
messages here are for the person who edits the file.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from service.settings.annotations import (
    annotation_at,
    entry_of,
    field_names,
    is_secret,
    models,
    step,
    tags,
)
from service.settings.nearest_name import choice, suggestion
from service.settings.rules import BETWEEN_KEYS, Conflict, Location
from service.settings.sources import Sources

_LONGEST_VALUE: Final = 80
_ORDINALS: Final = ("first", "second", "third")
# The weight of a misspelled table's keys, against its name, in finding the table that was meant.
_EVIDENCE: Final = 0.5


def sentences(
    faults: Iterable[ErrorDetails],
    conflicts: Iterable[Conflict],
    *,
    model: type[BaseModel],
    sources: Sources,
) -> list[str]:
    """Return a sentence for each fault, in the order of the file.

    Args:
        faults: The result of `ValidationError.errors()`, with inputs; conflicts in it are ignored.
        conflicts: The conflicts that the rules found.
        model: The class of the settings.
        sources: Where the values come from.
    """
    values = sources.values()
    single = [each for each in faults if each["type"] != BETWEEN_KEYS]
    found = [_sentence(each, model, sources, values) for each in single]
    found += [_of_conflict(each, sources, values) for each in conflicts]
    return sorted(dict.fromkeys(found), key=_line)


def _line(sentence: str) -> int:
    """Return the line number with which a sentence begins; 0 if there is none."""
    found = re.match(r"line (\d+)", sentence)
    return int(found[1]) if found else 0


def _sentence(
    fault: ErrorDetails, model: type[BaseModel], sources: Sources, values: Mapping[str, Any]
) -> str:
    path = _without_tags(fault["loc"], model)
    place = sources.place(path)
    message = _message(fault, path, model)
    shown = _shown_value(fault, path, model)
    key = key_name(path, values)
    subject = f"{key}{'' if shown in message else f' = {shown}'}: " if key else ""
    return f"{place}: {subject}{message}" if place else f"{subject}{message}"


def _of_conflict(found: Conflict, sources: Sources, values: Mapping[str, Any]) -> str:
    """Return a conflict as a sentence, with every place where one of its keys was given."""
    exact = dict.fromkeys(place for key in found.keys if (place := sources.exact_place(key)))
    around = next((place for key in found.keys if (place := sources.place(key))), "")
    place = ", ".join(sorted(exact, key=_line)) or around
    parts = (place, key_name(found.subject, values), found.message)
    return ": ".join(part for part in parts if part)


def _without_tags(location: Location, model: type[BaseModel]) -> Location:
    """Return an error's location without the `kind` that pydantic adds after an entry's number."""
    kept: list[int | str] = []
    at: object = model
    for part in location:
        following = step(at, part)
        if not (isinstance(part, str) and part in tags(at)):
            kept.append(part)
        at = following
    return tuple(kept)


def key_name(path: Location, values: Mapping[str, Any]) -> str:
    """Return a location as text for a person: receiver.callers "CR_1", port."""
    text = ""
    value: Any = values
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
    """Return the quoted name of an entry of a repeated table, or its position: (first entry)."""
    if isinstance(value, Mapping):
        for key in ("name", "ae_title"):
            if isinstance(value.get(key), str):
                return f'"{value[key][:40]}"'
    which = _ORDINALS[number] if number < len(_ORDINALS) else f"{number + 1}th"
    return f"({which} entry)"


def _shown_value(fault: ErrorDetails, path: Location, model: type[BaseModel]) -> str:
    """Return the value as text if it is short, plain and cannot hold a secret, otherwise ""."""
    value = fault.get("input")
    if fault["type"] in {"missing", "extra_forbidden"} or not isinstance(value, str | int | float):
        return ""
    text = repr(value)
    if is_secret(annotation_at(model, path)) or "://" in text or len(text) > _LONGEST_VALUE:
        return ""
    return text


def _message(fault: ErrorDetails, path: Location, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return _unknown_key(fault, path, model)
    if fault["type"] == "tuple_type" and models(entry_of(annotation_at(model, path))):
        name = ".".join(str(part) for part in path)
        return f"may be written several times: its name is written in two brackets, [[{name}]]"
    allowed = _ALLOWED.get(fault["type"])
    if allowed is None:
        return fault["msg"].removeprefix("Value error, ")
    return allowed(fault)


def _unknown_key(fault: ErrorDetails, path: Location, model: type[BaseModel]) -> str:
    given, owner = fault.get("input"), annotation_at(model, path[:-1])
    is_table = isinstance(given, Mapping) or (isinstance(given, list) and _is_repeated(given))
    evidence = _evidence(given, owner) if is_table else {}
    name = str(path[-1])
    return f"there is no such {'table' if is_table else 'key'}" + suggestion(
        name, field_names(owner), evidence
    )


def _is_repeated(given: list[object]) -> bool:
    return bool(given) and all(isinstance(entry, Mapping) for entry in given)


def _evidence(given: object, owner: object) -> dict[str, float]:
    """Return, for each known table, a score in 0..0.5: the share of the given keys that it has."""
    entries = given if isinstance(given, list) else [given]
    written = {str(key) for entry in entries if isinstance(entry, Mapping) for key in entry}
    evidence = {}
    for name in field_names(owner) if written else ():
        inner = annotation_at(next(iter(models(owner))), (name,))
        known = {key for each in models(entry_of(inner)) for key in each.model_fields}
        evidence[name] = _EVIDENCE * len(written & known) / len(written)
    return evidence


def _literal(fault: ErrorDetails) -> str:
    allowed = re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", "")))
    return "not allowed" + choice(str(fault.get("input")), allowed)


def _kind(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    allowed = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
    return f"kind = {str(context.get('tag', ''))[:40]!r} is not allowed" + choice(
        str(context.get("tag", "")), allowed
    )


def _fixed(text: str) -> Callable[[ErrorDetails], str]:
    return lambda _fault: text


def _limit(text: str, name: str) -> Callable[[ErrorDetails], str]:
    return lambda fault: text.format(fault.get("ctx", {}).get(name))


_ALLOWED: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": _fixed("is required"),
    "literal_error": _literal,
    "enum": _literal,
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
    "int_parsing_size": _fixed("must be a smaller whole number"),
    "string_pattern_mismatch": _fixed("does not have the required form"),
    "too_short": _limit("must have at least {} entry", "min_length"),
    "too_long": _limit("must have at most {} entries", "max_length"),
    "string_too_short": _limit("must have at least {} character", "min_length"),
    "string_too_long": _limit("must have at most {} characters", "max_length"),
    "greater_than": _limit("must be greater than {}", "gt"),
    "greater_than_equal": _limit("must be at least {}", "ge"),
    "less_than": _limit("must be less than {}", "lt"),
    "less_than_equal": _limit("must be at most {}", "le"),
}
