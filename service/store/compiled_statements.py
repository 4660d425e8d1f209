"""Statements compiled once: of those that each film needs, compiling costs more than executing.

The library finds a statement that it has compiled by a key made anew of all its parts. Here the shape
is known: a name for what is asked and how many rows it is about.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    bindparam,
)
from sqlalchemy.sql.expression import ClauseElement

from service.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

Build = Callable[[Dialect, int], ClauseElement]
Values = Mapping[str, Any]

# So many rows a statement inserts at most: few shapes are made and kept, and each is short.
ROWS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A statement as the driver takes it.

    Attributes:
        text: In the database's language.
        order: Names of the values in the order of their marks; empty where the driver takes names.
        fixed: Values that are part of the statement.
        adapted: What makes of a value what the driver takes, for those that need it.
    """

    text: str
    order: Sequence[str]
    fixed: Values
    adapted: Mapping[str, Callable[[Any], Any]]

    def execute(self, connection: Connection, values: Values) -> CursorResult[*tuple[Any, ...]]:
        """Execute it with values by name; what it returns is as the driver gives it.

        Raises:
            SQLAlchemyError: As of any other statement.
            StoreError: A value is none that its column may have.
        """
        given = {**self.fixed, **values}
        try:
            for name, adapt in self.adapted.items():
                given[name] = adapt(given[name])
        except (ValueError, TypeError) as error:
            raise StoreError("a value was refused: its column cannot have it") from error
        ordered = tuple([given[name] for name in self.order])
        return connection.exec_driver_sql(self.text, ordered or given)


class Statements:
    """The prepared statements of one database; threads may share it."""

    def __init__(self, dialect: Dialect) -> None:
        """Take the language of the database."""
        self._dialect = dialect
        self._made: dict[tuple[Build, int], Prepared] = {}

    def get(self, build: Build, count: int) -> Prepared:
        """Return what `build` returns for `count` rows, compiled the first time only."""
        made = self._made.get((build, count))
        if made is None:
            # Two threads that come here at once make the same.
            made = self._made[build, count] = _compiled(build(self._dialect, count), self._dialect)
        return made

    def insert(self, connection: Connection, build: Build, rows: Sequence[Values]) -> None:
        """Insert rows, in their order."""
        for some in _pieces(rows):
            self.get(build, len(some)).execute(connection, values_of(some))

    def insert_new(
        self, connection: Connection, build: Build, rows: Sequence[Values], key: Sequence[str]
    ) -> set[tuple[Any, ...]]:
        """Insert the rows that are not here, in their order; return the keys of those.

        Args:
            connection: Of a transaction that writes.
            build: An INSERT that ignores what is here; for more than one row it returns their keys.
            rows: Values by column.
            key: Columns that tell the rows apart.
        """
        new: set[tuple[Any, ...]] = set()
        for some in _pieces(rows):
            result = self.get(build, len(some)).execute(connection, values_of(some))
            if len(some) > 1:
                new.update(tuple(row) for row in result)
            elif result.rowcount:  # most films come alone, and counting is cheaper
                new.add(tuple(some[0][name] for name in key))
        return new


def _pieces(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))


def _compiled(statement: ClauseElement, dialect: Dialect) -> Prepared:
    compiled = cast("SQLCompiler", statement.compile(dialect=dialect))
    processors = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect)
        for name, bind in compiled.binds.items()
    }
    return Prepared(
        text=compiled.string,
        order=tuple(compiled.positiontup or ()),
        fixed={name: bind.value for name, bind in compiled.binds.items() if not bind.required},
        adapted={name: adapt for name, adapt in processors.items() if adapt is not None},
    )


def rows_of(columns: Sequence[Column[Any]], count: int) -> list[dict[str, BindParameter[Any]]]:
    """Return marks for `count` rows of these columns, each named `<column>_<row from 0>`."""
    return [
        {column.name: bindparam(f"{column.name}_{at}", type_=column.type) for column in columns}
        for at in range(count)
    ]


def values_of(rows: Sequence[Values]) -> dict[str, Any]:
    """Return the values of several rows by the names of their marks."""
    return {f"{name}_{at}": value for at, row in enumerate(rows) for name, value in row.items()}


def any_of(column: Column[Any], count: int) -> ColumnElement[bool]:
    """Return the condition that a column has one of `count` values, given by `choice_of`."""
    return column.in_([bindparam(f"choice_{at}", type_=column.type) for at in range(count)])


def choice_of(values: Collection[str]) -> tuple[int, dict[str, str]]:
    """Return how many marks to make for some values, a power of two, and the values by their names.

    The last one fills the marks that are left, so that few shapes are made.
    """
    known = list(values)
    count = 1 << (len(known) - 1).bit_length()
    known += known[-1:] * (count - len(known))
    return count, {f"choice_{at}": value for at, value in enumerate(known)}
