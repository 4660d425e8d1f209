"""The plans of the statements that a function of the store executes, in each database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from service.store import Store


def plans_of(store: Store, call: Callable[[], Any]) -> list[str]:
    """Return the plan of each query that `call` executes; PostgreSQL prefers indexes in them."""
    statements: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        statement, parameters = arguments[2:4]
        if statement.startswith(("SELECT", "WITH")) and "set_config" not in statement:
            statements.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        call()
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if store._is_sqlite else "EXPLAIN "
    with store._engine.connect() as connection:
        if not store._is_sqlite:
            # The planner reads tables of few rows from end to end, whatever indexes there are.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [
            "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + sql, values))
            for sql, values in statements
        ]
