"""The rules between several keys of the settings, and how they are evaluated beside wrong keys.

A table is checked key by key by pydantic, and by rules that look at several keys. pydantic evaluates a
rule only where every key is right, so that one mistake would hide the next. Therefore a table can also
be read leniently (`LENIENT`): a key that is wrong becomes `UNKNOWN`, each rule is evaluated on its own,
and one that needs an unknown value says nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError

from service.settings.nearest_name import nearest_name

# The way to a value: names of tables and keys, and numbers of entries (from 0).
Location: TypeAlias = tuple[int | str, ...]

# The context with which pydantic reads a table leniently, and the type of a fault between keys.
LENIENT: Final = {"lenient": True}
BETWEEN_KEYS: Final = "between_keys"


class NotKnown(Exception):
    """A rule needs a value that is wrong and is reported by itself."""


class _Unknown:
    """Stands for a value that is wrong: whatever is done with it raises NotKnown.

    The name of an entry that is wrong otherwise may be known.
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
    """Keys of which each is right and that do not fit together.

    Attributes:
        subject: The key that the sentence begins with.
        words: The rest of the sentence: what is wrong and what to do.
        keys: Every key that is involved; where they were given is the place of the fault.
    """

    subject: Location
    words: str
    keys: tuple[Location, ...]

    def below(self, at: Location) -> "Conflict":
        """Return the same with its keys as seen from the table that holds `at`."""
        keys = tuple((*at, *key) for key in self.keys)
        return replace(self, subject=(*at, *self.subject), keys=keys)


def conflict(subject: str, words: str, *others: str) -> Conflict:
    """Return a conflict of keys of one table.

    Args:
        subject: The key that has to be changed; "" where `words` name the keys.
        words: What is wrong and what to do.
        others: The further keys that are involved.
    """
    keys = tuple((key,) for key in (subject, *others) if key)
    return Conflict(subject=(subject,) if subject else (), words=words, keys=keys)


Rule: TypeAlias = Callable[[Any], Iterator[Conflict]]


def conflicts(table: BaseModel) -> Iterator[Conflict]:
    """Yield every conflict in a table and in those in it, as far as the values are known."""
    for at, each in tables(table):
        yield from own_conflicts(each, at)


def tables(table: BaseModel, at: Location = ()) -> Iterator[tuple[Location, BaseModel]]:
    """Yield a table and those in it at any depth, each with the way to it."""
    yield at, table
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield from tables(value, (*at, name))
        for number, entry in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(entry, BaseModel):
                yield from tables(entry, (*at, name, number))


def own_conflicts(table: BaseModel, at: Location = ()) -> Iterator[Conflict]:
    """Yield the conflicts that the rules of one table find; `at` is the way to it."""
    for rule in getattr(table, "rules", ()):
        found = rule(table)
        while True:
            try:
                yield next(found).below(at)
            except (StopIteration, NotKnown):
                break


def lenient_value(value: Any, handler: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any setting
    """Return the value as it is in force, with UNKNOWN for what is wrong: all of it, or entries."""
    if value is UNKNOWN:
        return UNKNOWN
    try:
        return handler(value)
    except ValidationError as error:
        if not any(isinstance(each["loc"][0], int) for each in error.errors() if each["loc"]):
            return UNKNOWN
        if len(value) == 1:
            return (_unknown_entry(value[0]),)
    return tuple(entry for each in value for entry in lenient_value((each,), handler))


def _unknown_entry(given: object) -> _Unknown:
    return _Unknown(given.get("name") if isinstance(given, Mapping) else None)


def lenient_table(model: type[BaseModel], data: Any) -> Any:  # noqa: ANN401 - whatever was given
    """Return what was given of a table's own keys, and UNKNOWN for those missing or misspelt."""
    if not isinstance(data, Mapping):
        return data
    fields = model.model_fields
    known = {name: value for name, value in data.items() if name in fields}
    missing = [name for name, field in fields.items() if field.is_required()]
    meant = [nearest_name(str(name), fields) for name in data if name not in fields]
    return {name: UNKNOWN for name in (*missing, *meant) if name in fields} | known
