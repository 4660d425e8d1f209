"""Maps SQLAlchemy's errors to ours, so that none of its types leaves the store."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import SchemaMismatch, StoreError, StoreNotWritable, StoreUnavailable

# SQLSTATE: undefined_table, undefined_column (PostgreSQL, appendix A).
_LACKING_STATES: Final = frozenset({"42P01", "42703"})
# SQLite has one code for all errors of a statement; only the message distinguishes them.
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

_SERVER: Final = r'server at "([^"]+)"(?: \([^)]*\))?, port (\d+) failed: '
# Messages of libpq, psycopg and SQLite about a connection, and ours. The first that matches counts.
_CONNECTION_FAULTS: Final = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r'database ("[^"]*") does not exist',
            "the server has no database {}: create it (createdb), or correct the name in database.url",
        ),
        (
            r'role ("[^"]*") does not exist|authentication failed for user ("[^"]*")',
            "the server refuses the user or the password: check both in database.url",
        ),
        (
            _SERVER + "Connection refused",
            "no PostgreSQL answers at {}, port {}: start it, or correct host and port in database.url",
        ),
        (
            r"could not translate host name|failed to resolve host|Name or service not known",
            "the server's host name is not known: correct it in database.url, or check name resolution",
        ),
        (
            "unable to open database file",
            "its file cannot be opened: check that data_dir exists, and that this user may write there",
        ),
    )
)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Convert each SQLAlchemyError raised inside to a StoreError; other exceptions pass unchanged.

    Raises:
        StoreUnavailable: The database does not answer, or is locked or busy.
        StoreNotWritable: The database answers but cannot be written: read-only, full, or no permission.
        SchemaMismatch: A table or column is missing.
        StoreError: The database refused for another reason.
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
    # Only the first line, the database's own sentence: PostgreSQL adds values of the row below it.
    message = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
    if refusal := _refusal(error.orig):
        return StoreNotWritable(f"the database cannot be written: {refusal} ({message})")
    if _is_lacking(error.orig, message):
        return SchemaMismatch(
            f"the database lacks what this version needs ({message}): run `wetread db upgrade`"
        )
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return StoreUnavailable(f"the database cannot be used now: {_sentence(message)}")
    return StoreError(f"the database refused: {message}")


def _is_lacking(error: BaseException | None, message: str) -> bool:
    """Return whether a statement failed because a table or column of this version is missing."""
    if isinstance(error, sqlite3.Error):
        return any(phrase in message for phrase in _LACKING_WORDS)
    return getattr(error, "sqlstate", None) in _LACKING_STATES


def _sentence(message: str) -> str:
    """Return what prevents a connection, and what to do; an unknown message unchanged.

    libpq gives no SQLSTATE for a refused connection, only a message.
    """
    for pattern, sentence in _CONNECTION_FAULTS:
        if found := pattern.search(message):
            return sentence.format(*found.groups())
    return message


def _refusal(error: BaseException | None) -> str:
    """Return why the database cannot be written, and what to check; "" for another error."""
    # The lowest byte is SQLite's primary result code; extended codes add detail in the others.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    state = getattr(error, "sqlstate", None) or ""
    return _SQLITE_REFUSES.get(kind, "") or _POSTGRESQL_REFUSES.get(state, "")
