"""Errors of the database library become ours; none of its types goes further."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import SchemaMismatch, StoreError, StoreUnavailable

_LACKING = ("no such table", "no such column", "has no column", "does not exist")


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Let what happens inside raise a StoreError only.

    Raises:
        StoreUnavailable: The database is away, locked or full.
        SchemaMismatch: It lacks a table or column.
        StoreError: It refused for another reason.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise _mapped(error) from error


def _mapped(error: SQLAlchemyError) -> StoreError:
    if isinstance(error, PoolTimeout):
        return StoreUnavailable("the database is busy: no connection became free in time")
    if not isinstance(error, DBAPIError):
        return StoreError(f"the database refused: {type(error).__name__}")
    # The first line is the database's own sentence; PostgreSQL adds values of the row below it.
    words = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
    if any(phrase in words for phrase in _LACKING):
        return SchemaMismatch(
            f"the database lacks what this version needs ({words}): run `wetread db upgrade`"
        )
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return StoreUnavailable(f"the database cannot be used now: {words}")
    return StoreError(f"the database refused: {words}")
