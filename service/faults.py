"""Errors of the database library become ours; none of its types goes further."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import SchemaMismatch, StoreError, StoreUnavailable

# SQLSTATE: undefined_table, undefined_column (PostgreSQL, appendix A).
_LACKING_STATES: Final = frozenset({"42P01", "42703"})
# SQLite has one code for every error of a statement; only its words tell them apart.
_LACKING_WORDS: Final = ("no such table", "no such column", "has no column")


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
    if _is_lacking(error.orig, words):
        return SchemaMismatch(
            f"the database lacks what this version needs ({words}): run `wetread db upgrade`"
        )
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return StoreUnavailable(f"the database cannot be used now: {words}{_advice(words)}")
    return StoreError(f"the database refused: {words}")


def _is_lacking(error: BaseException | None, words: str) -> bool:
    """Return whether a statement failed because a table or column of this version is missing."""
    if isinstance(error, sqlite3.Error):
        return any(phrase in words for phrase in _LACKING_WORDS)
    return getattr(error, "sqlstate", None) in _LACKING_STATES


def _advice(words: str) -> str:
    """Return what to do about a connection that the server refuses, "" when that is not known.

    libpq gives no SQLSTATE for a refused connection, only the server's words.
    """
    if "does not exist" in words and "database" in words:
        return "; create it (createdb), or correct the name in database.url"
    if "does not exist" in words or "authentication failed" in words:
        return "; check user and password in database.url"
    if "unable to open database file" in words:
        return "; check that data_dir exists, and that this user may write there"
    return ""
