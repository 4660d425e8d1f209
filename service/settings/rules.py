"""Rules between several keys of the settings, evaluated even if some keys are wrong.

pydantic checks a table key by key; a rule checks several keys together. pydantic evaluates a rule only
if every key is right, so one mistake would hide the next. Therefore a table can also be read leniently
(`LENIENT`): a wrong key becomes `UNKNOWN`, each rule is evaluated on its own, and a rule that needs an
unknown value yields nothing more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError

from service.settings.nearest_name import nearest_name

# The path to a value: names of tables and keys, and indices of entries (from 0).
Location: TypeAlias = tuple[int | str, ...]

# The validation context in which pydantic reads a table leniently, and the error type of a conflict.
LENIENT: Final = {"lenient": True}
BETWEEN_KEYS: Final = "between_keys"


class NotKnown(Exception):
    """A rule needs a wrong value, which is reported on its own."""


class _Unknown:
    """A placeholder for a wrong value: every use of it raises NotKnown.

    Only the `name` of a wrong entry can be read, if it was given.
    """

    def __init__(self, name: object = None) -> None:
        if isinstance(name, str):
            self.name = name

    def _refuse(self, *_arguments: object) -> Any:  # noqa: ANN401 - never returns
        raise NotKnown

    __getattr__ = __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __str__ = __repr__ = __format__ = __int__ = __float__ = _refuse


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A contradiction between keys that are right one by one.

    Attributes:
        subject: The key with which the message begins.
        message: The rest of the message: what is wrong and what to do.
        keys: Every key that is involved; the message names the lines where they were given.
    """

    subject: Location
    message: str
    keys: tuple[Location, ...]

    def below(self, at: Location) -> "Conflict":
        """Return the same conflict with its keys relative to the table that holds `at`."""
        keys = tuple((*at, *key) for key in self.keys)
        return replace(self, subject=(*at, *self.subject), keys=keys)


def conflict(subject: str, message: str, *others: str) -> Conflict:
    """Return a conflict of keys of one table.

    Args:
        subject: The key to change; "" if `message` names the keys.
        message: What is wrong and what to do.
        others: The other keys that are involved.
    """
    keys = tuple((key,) for key in (subject, *others) if key)
    return Conflict(subject=(subject,) if subject else (), message=message, keys=keys)


Rule: TypeAlias = Callable[[Any], Iterator[Conflict]]


def conflicts(table: BaseModel) -> Iterator[Conflict]:
    """Yield every conflict in a table and the tables in it, as far as the values are known."""
    for at, each in tables(table):
        yield from own_conflicts(each, at)


def tables(table: BaseModel, at: Location = ()) -> Iterator[tuple[Location, BaseModel]]:
    """Yield a table and the tables in it at any depth, each with its location."""
    yield at, table
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield from tables(value, (*at, name))
        for number, entry in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(entry, BaseModel):
                yield from tables(entry, (*at, name, number))


def own_conflicts(table: BaseModel, at: Location = ()) -> Iterator[Conflict]:
    """Yield the conflicts that the rules of one table find; `at` is the table's location."""
    for rule in getattr(table, "rules", ()):
        found = rule(table)
        while True:
            try:
                yield next(found).below(at)
            except (StopIteration, NotKnown):
                break


def lenient_value(value: Any, handler: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any setting
    """Return the validated value; UNKNOWN if it is wrong, or in a list for each entry that is wrong."""
    if value is UNKNOWN:
        return UNKNOWN
    try:
        return handler(value)
    except ValidationError as error:
        if not any(isinstance(each["loc"][0], int) for each in error.errors() if each["loc"]):
            return UNKNOWN
        if len(value) == 1:
            return (_unknown_entry(value[0]),)
    # An entry of a list is wrong: validate the entries one by one to find which.
    return tuple(entry for each in value for entry in lenient_value((each,), handler))


def _unknown_entry(given: object) -> _Unknown:
    return _Unknown(given.get("name") if isinstance(given, Mapping) else None)


def lenient_table(model: type[BaseModel], data: Any) -> Any:  # noqa: ANN401 - whatever was given
    """Return the given values of a table's keys, and UNKNOWN for missing or misspelled ones."""
    if not isinstance(data, Mapping):
        return data
    fields = model.model_fields
    known = {name: value for name, value in data.items() if name in fields}
    missing = [name for name, field in fields.items() if field.is_required()]
    meant = [nearest_name(str(name), fields) for name in data if name not in fields]
    return {name: UNKNOWN for name in (*missing, *meant) if name in fields} | known
