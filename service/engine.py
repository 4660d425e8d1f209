"""The connection to the database, set so that what was committed survives a power cut."""

import sqlite3
import time
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from service.errors import ConfigurationError

READING: Final = "BEGIN"
WRITING: Final = "BEGIN IMMEDIATE"
_POSTGRESQL: Final = frozenset({"postgresql", "postgres"})


def make_engine(url: str, *, busy_seconds: float = 20.0) -> Engine:
    """Return an engine for SQLite or PostgreSQL that has not connected yet.

    Args:
        url: SQLAlchemy URL.
        busy_seconds: How long a connection waits for another to release what it needs.

    Raises:
        ConfigurationError: The URL is none, or of another database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("database.url: not a SQLAlchemy URL") from None
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, hide_parameters=True, pool_size=16, max_overflow=-1)
        _set_up_sqlite(engine, busy_seconds)
        return engine
    if parsed.get_backend_name() in _POSTGRESQL:
        # The driver that is installed here, also where the URL names none (or the old scheme).
        parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(
            parsed,
            hide_parameters=True,
            pool_size=8,
            max_overflow=24,
            pool_timeout=busy_seconds,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": max(2, int(busy_seconds)),
                # Whatever the server's default: an acknowledged film survives its crash.
                "options": "-c timezone=UTC -c synchronous_commit=on "
                f"-c lock_timeout={int(busy_seconds * 1000)}",
            },
        )
    raise ConfigurationError("database.url: only sqlite and postgresql are supported")


def _set_up_sqlite(engine: Engine, busy_seconds: float) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would begin transactions late and deferred; _begin below does it.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
        _use_write_ahead_log(cursor, busy_seconds)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options: dict[str, Any] = dict(connection.get_execution_options())
        connection.exec_driver_sql(options.get("begin", WRITING))


def _use_write_ahead_log(cursor: sqlite3.Cursor, busy_seconds: float) -> None:
    """Switch to the write-ahead log; of several that do so to a new file SQLite lets none wait."""
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
