"""The connection to the database, set so that what was committed survives a power cut."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from service.errors import ConfigurationError
from service.system.socket_limits import (
    POSTGRESQL_GRACE_SECONDS,
    BoundedConnection,
    postgresql_arguments,
    postgresql_settings,
)

# How a transaction of SQLite begins. IMMEDIATE takes the write lock at once: a transaction that begins
# by reading can fail when it writes, without waiting for the lock.
READING: Final = "BEGIN"
WRITING: Final = "BEGIN IMMEDIATE"
_POSTGRESQL: Final = frozenset({"postgresql", "postgres"})
_LONGEST_BUSY: Final = 20.0


def make_engine(url: str, *, busy_seconds: float | None = 20.0) -> Engine:
    """Return an engine for SQLite or PostgreSQL that has not connected yet.

    Args:
        url: SQLAlchemy URL.
        busy_seconds: Seconds to wait for a lock or a free connection. PostgreSQL has to answer each
            statement within 2 s more. None, for migrations: no limit in PostgreSQL, but 20 s for a
            connection, and for a lock in SQLite.

    Raises:
        ConfigurationError: The URL is invalid, or of another database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("database.url: not a SQLAlchemy URL") from None
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed,
            hide_parameters=True,
            pool_size=16,
            max_overflow=-1,
            json_deserializer=_json_or_text,
        )
        _set_up_sqlite(engine, _LONGEST_BUSY if busy_seconds is None else busy_seconds)
        return engine
    if parsed.get_backend_name() in _POSTGRESQL:
        # The installed driver, also if the URL names none or has the old scheme `postgres`.
        return _postgresql(parsed.set(drivername="postgresql+psycopg"), busy_seconds)
    raise ConfigurationError("database.url: only sqlite and postgresql are supported")


def _json_or_text(text: str | bytes) -> object:
    """Return the parsed JSON; invalid JSON stays text, so that one bad row does not fail a query."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _postgresql(url: URL, busy_seconds: float | None) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        json_deserializer=_json_or_text,
        pool_size=8,
        max_overflow=24,
        pool_timeout=_LONGEST_BUSY if busy_seconds is None else busy_seconds,
        pool_pre_ping=True,
        connect_args=postgresql_arguments(url),
    )
    _set_up_postgresql(engine, postgresql_settings(url, busy_seconds), busy_seconds)
    return engine


def _set_up_postgresql(
    engine: Engine, settings: Mapping[str, str], busy_seconds: float | None
) -> None:
    names = ", ".join("set_config(%s, %s, false)" for _ in settings)
    values = [word for pair in settings.items() for word in pair]

    @event.listens_for(engine, "do_connect")
    def _open(
        _dialect: Dialect, _record: object, arguments: Sequence[Any], options: dict[str, Any]
    ) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **options)
        if busy_seconds is not None:
            connection.answer_seconds = busy_seconds + POSTGRESQL_GRACE_SECONDS
        return connection

    @event.listens_for(engine, "connect")
    def _set(connection: BoundedConnection, _record: object) -> None:
        # Outside a transaction: a rollback would undo the settings.
        connection.autocommit = True
        connection.execute(f"SELECT {names}", values)
        connection.autocommit = False


def _set_up_sqlite(engine: Engine, busy_seconds: float) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would begin transactions late and deferred; `_begin` below begins them.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
        _use_write_ahead_log(cursor, busy_seconds)
        # With NORMAL, a power cut could undo the latest commits of the write-ahead log.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options: dict[str, Any] = dict(connection.get_execution_options())
        connection.exec_driver_sql(options.get("begin", WRITING))


def _use_write_ahead_log(cursor: sqlite3.Cursor, busy_seconds: float) -> None:
    """Switch to the write-ahead log; retry, because SQLite does not wait while another switches."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
