"""Transactions for reading and for writing, with errors of the database library mapped to ours."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, text
from sqlalchemy.orm import Session, sessionmaker

from service.database.db_errors import mapped_errors
from service.database.engine import READING, WRITING, make_engine
from service.database.tables import Base, IncidentRow
from service.records import IncidentKind
from service.store.statements.arrivals import insert_or_ignore
from service.store.statements.compiled import Statements


def utc_now() -> datetime:
    """Return the current time as an aware datetime in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a random id of 32 hexadecimal digits; people give a job's by a unique prefix."""
    return uuid.uuid4().hex


class Transactions:
    """The engine and its transactions; the base class of the store's parts."""

    def __init__(
        self, url: str, *, busy_seconds: float = 20.0, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._engine = make_engine(url, busy_seconds=busy_seconds)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._clock = clock
        self._statements = Statements(self._engine.dialect)
        self._watcher = self._engine.execution_options(begin=READING)
        self._readers = sessionmaker(self._watcher)
        self._recorder = self._engine.execution_options(begin=WRITING)
        self._writers = sessionmaker(self._recorder, expire_on_commit=False)
        # SQLite allows one writer at a time. Threads wait for it at this lock, because SQLite's busy
        # handler would sleep and poll.
        self._lock = threading.Lock() if self._is_sqlite else nullcontext()

    def close(self) -> None:
        """Close the connections; the store can still be used and opens new ones."""
        self._engine.dispose()

    def ping(self) -> None:
        """Check that the database answers.

        Raises:
            StoreUnavailable: The database does not answer.
        """
        with self._reading() as session:
            session.execute(text("SELECT 1"))

    def now(self) -> datetime:
        """Return the current time by the store's clock, aware, in UTC."""
        return self._clock()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with mapped_errors(), self._readers.begin() as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with mapped_errors(), self._lock, self._writers.begin() as session:
            yield session

    @contextmanager
    def _read_connection(self) -> Iterator[Connection]:
        """Open a reading transaction without the ORM, where that would cost more than the statements."""
        with mapped_errors(), self._watcher.begin() as connection:
            yield connection

    @contextmanager
    def _write_connection(self) -> Iterator[Connection]:
        """Open a writing transaction without the ORM."""
        with mapped_errors(), self._lock, self._recorder.begin() as connection:
            yield connection

    def _insert_new(self, session: Session, model: type[Base], **values: Any) -> bool:  # noqa: ANN401 - column values
        """Insert a row unless a unique constraint already has it; return whether it was inserted."""
        table = model.__table__
        if not isinstance(table, Table):
            raise TypeError(f"{model.__name__} is not mapped to one table")
        statement = insert_or_ignore(self._engine.dialect, table).values(**values)
        returning = statement.returning(*table.primary_key.columns)
        return session.connection().execute(returning).first() is not None

    def _incident(
        self,
        session: Session | Connection,
        kind: IncidentKind,
        *,
        actor: str,
        subject: str,
        detail: str,
    ) -> None:
        """Add an incident in this transaction; `detail` is a sentence without patient attributes."""
        row = {"at": self.now(), "actor": actor, "kind": str(kind), "subject": subject}
        session.execute(insert(IncidentRow).values(**row, detail=detail))

    def _exclusive(self, session: Session | Connection, number: int) -> None:
        """Hold advisory lock `number` until the transaction ends; SQLite has one writer anyway."""
        if not self._is_sqlite:
            session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
