"""The sources of the settings' values: file, environment variables, arguments. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from service.settings.nearest_name import nearest_name
from service.settings.rules import Location
from service.settings.toml_file import TomlFile

PREFIX: Final = "WETREAD_"
_BETWEEN: Final = "__"
# The beginning of a message of `json`, and its meaning for the person who writes the variable.
_JSON_SENTENCES: Final[Mapping[str, str]] = {
    "Expecting value": 'a value is missing, or a text without "quotation marks"',
    "Expecting property name": 'a key in "quotation marks" is missing',
    "Expecting ':'": "a colon is missing after a key",
    "Expecting ','": "a comma or a closing bracket is missing",
    "Extra data": "there is more text after its end",
    "Unterminated string": "a text has no quotation mark at its end",
    "Invalid control character": "a text contains a line break or a control character",
    "Invalid \\": "a backslash in a text is written twice",
    "Illegal trailing comma": "there is a comma after the last entry",
}
_EXAMPLE: Final = """e.g. '["A", "B"]' or '{"port": 104}'"""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that gives a setting.

    Attributes:
        name: The name in the environment.
        path: The setting: a table, or a table and a key.
        value: The text; for a list or a table the parsed JSON.
    """

    name: str
    path: Location
    value: Any

    def gives(self, location: Location) -> bool:
        """Return whether the value at a location comes from this variable."""
        length = len(self.path)
        return location[:length] == self.path and _contains(self.value, location[length:])


@dataclass(frozen=True, slots=True)
class Sources:
    """All sources of values; arguments override variables, variables override the file."""

    file: TomlFile | None = None
    variables: Sequence[Variable] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return the values in force; tables given by several sources are merged key by key."""
        merged = dict(self.file.values) if self.file else {}
        for variable in sorted(self.variables, key=lambda each: len(each.path)):
            value = variable.value
            for part in reversed(variable.path):
                value = {part: value}
            merged = _merged(merged, value)
        return _merged(merged, self.arguments)

    def place(self, location: Location) -> str:
        """Return where a value or its nearest enclosing table was given; "" if not known."""
        for length in range(len(location), 0, -1):
            if place := self.exact_place(location[:length]):
                return place
        return ""

    def exact_place(self, location: Location) -> str:
        """Return where a value was given (variable or line); "" if it was not, or by an argument."""
        if _contains(self.arguments, location):
            return ""
        giving = [each for each in self.variables if each.gives(location)]
        if giving:
            return f"environment variable {max(giving, key=lambda each: len(each.path)).name}"
        if self.file is not None and location in self.file.lines:
            return f"line {self.file.lines[location]}"
        return ""


def _contains(value: Any, location: Location) -> bool:  # noqa: ANN401 - anything that JSON can hold
    for part in location:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return False
    return True


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged


def read_variables(
    environment: Mapping[str, str], model: type[BaseModel]
) -> tuple[list[Variable], list[str]]:
    """Return the variables that give settings, and a sentence for each that cannot be used.

    Args:
        environment: The variables with the prefix that are settings.
        model: The class of the settings.
    """
    variables, faults = [], []
    for name, text in sorted(environment.items()):
        try:
            variables.append(_variable(name, text, model))
        except _Unusable as unusable:
            faults.append(f"environment variable {name}: {unusable}")
    return variables, faults


class _Unusable(Exception):
    """A variable cannot be used; the message states why."""


def _variable(name: str, text: str, model: type[BaseModel]) -> Variable:
    section, _, key = name.removeprefix(PREFIX).lower().partition(_BETWEEN)
    path = (section, key) if key else (section,)
    annotation: object = model
    for part in path:
        table = table_of(annotation)
        found = table.model_fields.get(part) if table else None
        if found is None:
            raise _Unusable("there is no such setting" + _nearest(name, model))
        annotation = found.annotation
    if table_of(annotation) is None and "tuple" not in str(annotation):
        return Variable(name, path, text)
    try:
        return Variable(name, path, json.loads(text))
    except json.JSONDecodeError as error:
        raise _Unusable(_json_sentence(error)) from None
    except RecursionError:
        raise _Unusable("must be JSON, and lists are nested too deeply") from None


def _json_sentence(error: json.JSONDecodeError) -> str:
    meaning = next(
        (meaning for key, meaning in _JSON_SENTENCES.items() if error.msg.startswith(key)), ""
    )
    if not error.doc.strip():
        meaning = "it is empty"
    reason = (
        f": {meaning} (character {error.pos + 1})" if meaning else f" (character {error.pos + 1})"
    )
    return f"must be JSON, since it is a list or a table ({_EXAMPLE}){reason}"


def table_of(annotation: object) -> type[BaseModel] | None:
    """Return an annotation that is the class of a table; None for another annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _nearest(name: str, model: type[BaseModel]) -> str:
    found = nearest_name(name.removeprefix(PREFIX), list(_names(model)))
    return f"; did you mean `{PREFIX}{found}`?" if found else ""


def _names(model: type[BaseModel]) -> Iterator[str]:
    """Yield the name of each variable without the prefix."""
    for section, found in model.model_fields.items():
        table = table_of(found.annotation)
        for key in table.model_fields if table else ():
            yield f"{section}{_BETWEEN}{key}".upper()
        if table is None:
            yield section.upper()
