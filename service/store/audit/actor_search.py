"""Finds the audit records of a person: of an account, or of actors whose name begins with a text.

The names are found one after another in the index of actors, which has all records of a name together,
and of each name only the newest records are read. Neither step reads the other records of the trail.
"""

from typing import Final

from sqlalchemy import ColumnElement, Select, collate, or_, select, union_all
from sqlalchemy.orm import Session

from service.database.audit_tables import AuditRow

# If more names begin with the text, the newest records of the trail are walked: many of them match.
_MOST_NAMES: Final = 50
# Of the index of actors. LIKE compares in this way: SQLite ignores the case of the letters A to Z.
_COLLATIONS: Final = {"sqlite": "NOCASE", "postgresql": "C"}


def of_person(person: str) -> ColumnElement[bool]:
    """Return the condition for the records of an account's id or the beginning of an actor's name."""
    begins = AuditRow.actor.startswith(person, autoescape=True)
    return or_(AuditRow.person_id == person, begins)


def newest_of_person(
    session: Session, person: str, *, before: int, limit: int
) -> ColumnElement[bool]:
    """Return a condition that selects the same newest records as `of_person`, by indexes.

    Args:
        session: The transaction.
        person: An account's id, or the beginning of an actor's name.
        before: Only records older than the one with this id; 0 for the newest.
        limit: The number of newest records that the query returns.
    """
    names = _names(session, person)
    if len(names) > _MOST_NAMES:
        return of_person(person)
    actor = _actor(session)
    wanted = [AuditRow.person_id == person, *(actor == name for name in names)]
    parts = [_newest(each, before, limit).subquery() for each in wanted]
    return AuditRow.id.in_(union_all(*(select(each.c.id) for each in parts)))


def _newest(condition: ColumnElement[bool], before: int, limit: int) -> Select[int]:
    query = select(AuditRow.id).where(condition).order_by(AuditRow.id.desc()).limit(limit)
    return query.where(AuditRow.id < before) if before else query


def _names(session: Session, beginning: str) -> list[str]:
    """Return the names of actors that begin so, one of each that differ in case only for LIKE."""
    actor = _actor(session)
    after = select(actor).order_by(actor).limit(1)
    names = select(after.where(actor >= beginning).scalar_subquery().label("name"))
    found = names.cte("names", recursive=True)
    matches = found.c.name.startswith(beginning, autoescape=True)
    following = after.where(actor > found.c.name).scalar_subquery()
    found = found.union_all(select(following).where(matches))
    matches = found.c.name.startswith(beginning, autoescape=True)
    return list(session.scalars(select(found.c.name).where(matches).limit(_MOST_NAMES + 1)))


def _actor(session: Session) -> ColumnElement[str]:
    """Return the actor in the collation of its index."""
    return collate(AuditRow.actor, _COLLATIONS[session.get_bind().dialect.name])
