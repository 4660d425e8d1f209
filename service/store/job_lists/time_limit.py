"""A time limit for the queries of a transaction, in PostgreSQL and in SQLite."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.errors import QueryTooSlow

SECONDS: Final = 2.0
# SQLite calls back after this many instructions of its virtual machine, about 0.1 ms.
_INSTRUCTIONS: Final = 10_000
# Until the end of this transaction. Each query is planned for its own values: after five searches with
# one statement the server would plan it once for any text, and read all rows where many match.
_POSTGRESQL: Final = """SELECT set_config('statement_timeout', :limit, true),
    set_config('plan_cache_mode', 'force_custom_plan', true)"""
# SQLSTATE query_canceled (PostgreSQL, appendix A).
_CANCELED: Final = "57014"


@contextmanager
def time_limit(session: Session, seconds: float = SECONDS) -> Iterator[None]:
    """Limit each query inside to `seconds` (PostgreSQL), all queries together in SQLite.

    Raises:
        QueryTooSlow: The limit was exceeded.
    """
    try:
        if session.get_bind().dialect.name == "sqlite":
            with _sqlite_limit(session, seconds):
                yield
        else:
            session.execute(text(_POSTGRESQL), {"limit": str(int(seconds * 1000))})
            yield
    except DBAPIError as error:
        if _is_canceled(error.orig):
            raise QueryTooSlow(
                f"the list needs more than {seconds:g} s: add a filter that fewer jobs match"
            ) from None
        raise


@contextmanager
def _sqlite_limit(session: Session, seconds: float) -> Iterator[None]:
    driver: Any = session.connection().connection.driver_connection
    deadline = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _is_canceled(error: BaseException | None) -> bool:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return True
    return getattr(error, "sqlstate", None) == _CANCELED
