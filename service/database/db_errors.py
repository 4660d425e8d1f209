"""Errors of the database library become ours; none of its types goes further."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import SchemaMismatch, StoreError, StoreNotWritable, StoreUnavailable

# SQLSTATE: undefined_table, undefined_column (PostgreSQL, appendix A).
_LACKING_STATES: Final = frozenset({"42P01", "42703"})
# SQLite has one code for every error of a statement; only its words tell them apart.
_LACKING_WORDS: Final = ("no such table", "no such column", "has no column")

_SQLITE_REFUSES: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_READONLY: "its file or folder is read-only or belongs to another user: "
    "check owner and mode",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened: check path, owner and mode, and that its "
    "disk is not mounted read-only",
    sqlite3.SQLITE_FULL: "its disk is full: make room",
    sqlite3.SQLITE_IOERR: "its disk refuses: check the disk and its free space",
}
# By SQLSTATE (PostgreSQL, appendix A).
_POSTGRESQL_REFUSES: Final[Mapping[str, str]] = {
    "25006": "the server or the user is read-only: check that database.url names the primary server",
    "42501": "the user may not write there: grant it the tables",
    "53100": "its disk is full: make room",
}


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Let what happens inside raise a StoreError only.

    Raises:
        StoreUnavailable: The database is away, locked or full.
        StoreNotWritable: It answers, and takes nothing.
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
    if refusal := _refusal(error.orig):
        return StoreNotWritable(f"the database cannot be written: {refusal} ({words})")
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


def _refusal(error: BaseException | None) -> str:
    """Return why nothing can be written, and what to look at, or "" for another error."""
    # The lowest byte is the kind; the others say where.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    state = getattr(error, "sqlstate", None) or ""
    return _SQLITE_REFUSES.get(kind, "") or _POSTGRESQL_REFUSES.get(state, "")
