"""Statements compiled once: for those of each Instance, compiling costs more than executing.

SQLAlchemy's own cache builds its key from all parts of a statement on each call. The key here is the
function that builds the statement and the number of rows.
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

# Most rows that one statement inserts; it bounds the number of cached statements and their length.
ROWS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A statement in the form that the driver takes.

    Attributes:
        text: SQL in the dialect of the database.
        order: Names of the values in the order of their placeholders; empty if the driver takes names.
        fixed: Values that are part of the statement.
        adapted: Conversions of values to the driver's types, by name, where one is needed.
    """

    text: str
    order: Sequence[str]
    fixed: Values
    adapted: Mapping[str, Callable[[Any], Any]]

    def execute(self, connection: Connection, values: Values) -> CursorResult[*tuple[Any, ...]]:
        """Execute the statement with values by name; results have the driver's types.

        Raises:
            SQLAlchemyError: As for any other statement.
            StoreError: The type of a column does not allow its value.
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
    """The compiled statements of one database; threads may share it."""

    def __init__(self, dialect: Dialect) -> None:
        """Start without statements, for one SQL dialect."""
        self._dialect = dialect
        self._made: dict[tuple[Build, int], Prepared] = {}

    def get(self, build: Build, count: int) -> Prepared:
        """Return the statement of `build` for `count` rows; it is compiled on the first call only."""
        made = self._made.get((build, count))
        if made is None:
            # No lock: two threads at once compile the same statement, and either result is right.
            made = self._made[build, count] = _compiled(build(self._dialect, count), self._dialect)
        return made

    def insert(self, connection: Connection, build: Build, rows: Sequence[Values]) -> None:
        """Insert rows in the given order, at most ROWS_AT_ONCE in a statement."""
        for some in _pieces(rows):
            self.get(build, len(some)).execute(connection, values_of(some))

    def insert_new(
        self, connection: Connection, build: Build, rows: Sequence[Values], key: Sequence[str]
    ) -> set[tuple[Any, ...]]:
        """Insert the rows that are new, in the given order; return their keys.

        Args:
            connection: Of a transaction that writes.
            build: Builds an INSERT that skips known rows, and returns keys if there are several rows.
            rows: Values by column.
            key: Columns that identify a row.
        """
        new: set[tuple[Any, ...]] = set()
        for some in _pieces(rows):
            result = self.get(build, len(some)).execute(connection, values_of(some))
            if len(some) > 1:
                new.update(tuple(row) for row in result)
            elif result.rowcount:  # most Instances come alone, and the row count is cheaper
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
    """Return placeholders for `count` rows of these columns, named `<column>_<row from 0>`."""
    return [
        {column.name: bindparam(f"{column.name}_{at}", type_=column.type) for column in columns}
        for at in range(count)
    ]


def values_of(rows: Sequence[Values]) -> dict[str, Any]:
    """Return the values of several rows by the names of their placeholders (`rows_of`)."""
    return {f"{name}_{at}": value for at, row in enumerate(rows) for name, value in row.items()}


def any_of(column: Column[Any], count: int) -> ColumnElement[bool]:
    """Return the condition that a column has one of the `count` values of `choice_of`."""
    return column.in_([bindparam(f"choice_{at}", type_=column.type) for at in range(count)])


def choice_of(values: Collection[str]) -> tuple[int, dict[str, str]]:
    """Return a number of placeholders, a power of two, and the values by placeholder name.

    The last value fills the placeholders that are left. Powers of two keep the cached statements few.

    Args:
        values: At least one.
    """
    known = list(values)
    count = 1 << (len(known) - 1).bit_length()
    known += known[-1:] * (count - len(known))
    return count, {f"choice_{at}": value for at, value in enumerate(known)}
