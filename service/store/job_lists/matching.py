"""Conditions on jobs by the rows of another table, in the form that the database answers quickly.

Few matching rows: their jobs are named one by one, and the database reads these alone. Very many: each
job of a list is checked, which ends early because many jobs match. Between the two, PostgreSQL collects
the keys of the matching rows and reads their jobs by an index. It would otherwise expect the matching
jobs anywhere in a list, and check hundreds of thousands if they are far from its beginning, as those of
patients with consecutive numbers are. SQLite checks each job then as well.
"""

from typing import Any, Final

from sqlalchemy import CTE, ColumnElement, Select, false, func, select
from sqlalchemy.orm import Session

from service.database.tables import JobRow

# So many rows of another table count as few, and so many can be collected for each list.
_FEW: Final = 1_000
_COLLECTED: Final = 20_000


def has_study(
    session: Session, studies: Select[str], of_each: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return the condition that a job is of a study that a query finds.

    Args:
        session: The transaction.
        studies: The query for Study Instance UIDs.
        of_each: The same condition for one job, used if the studies are too many to be collected.
    """
    few = few_values(session, studies)
    if few is not None:
        return JobRow.study_instance_uid.in_(few) if few else false()
    keys = collected(session, studies)
    return of_each if keys is None else JobRow.study_instance_uid.in_(select(keys.c[0]))


def few_values(session: Session, query: Select[str]) -> list[str] | None:
    """Return the values that a query finds; None if they are many."""
    found = list(session.scalars(query.limit(_FEW + 1)))
    return found if len(found) <= _FEW else None


def collected(session: Session, query: Select[*tuple[Any, ...]]) -> CTE | None:
    """Return the values of a query as a table that is computed once; None if they are too many.

    None in SQLite as well.
    """
    if session.get_bind().dialect.name != "postgresql":
        return None
    bounded = query.limit(_COLLECTED + 1).subquery()
    if (session.scalar(select(func.count()).select_from(bounded)) or 0) > _COLLECTED:
        return None
    # The planner must not merge it into the query, where it would check job after job again.
    return query.cte("matching").prefix_with("MATERIALIZED")
