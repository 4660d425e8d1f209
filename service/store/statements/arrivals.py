"""SQL statements for each Instance that arrives."""

from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import Dialect, Insert, Select, Table, Update, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.database.tables import InstanceRow, StudyRow
from service.store.statements.compiled import any_of, rows_of

STUDY_KEY: Final = ("study_instance_uid",)
INSTANCE_KEY: Final = ("sop_instance_uid", "digest")
_STUDIES: Final = cast("Table", StudyRow.__table__)
_INSTANCES: Final = cast("Table", InstanceRow.__table__)
# Not set on arrival: the database assigns the id; retention and the comparison set the others.
_LATER: Final = frozenset({"id", "removed_at", "compared_at", "differs"})
_NEW_INSTANCE_COLUMNS: Final = [each for each in _INSTANCES.c if each.name not in _LATER]


def new_studies(dialect: Dialect, count: int) -> Insert:
    """Insert the studies that are new; return their UIDs if `count` is greater than 1."""
    insertion = insert_or_ignore(dialect, _STUDIES).values(rows_of(list(_STUDIES.c), count))
    return _with_returned_key(insertion, STUDY_KEY, count)


def new_instances(dialect: Dialect, count: int) -> Insert:
    """Insert the Instances that are new; return their UIDs and digests if `count` is greater than 1."""
    insertion = insert_or_ignore(dialect, _INSTANCES).values(rows_of(_NEW_INSTANCE_COLUMNS, count))
    return _with_returned_key(insertion, INSTANCE_KEY, count)


def _with_returned_key(insertion: Insert, key: Sequence[str], count: int) -> Insert:
    if count == 1:  # the row count says whether it was inserted, at less cost than RETURNING
        return insertion.inline()
    return insertion.returning(*(insertion.table.c[name] for name in key))


def update_of_study(_dialect: Dialect, _count: int) -> Update:
    """Update a study for its latest Instance; an urgent study stays urgent."""
    (row,) = rows_of(list(_STUDIES.c), 1)
    changed = {name: row[name] for name in ("calling_ae", "last_arrival", "quiet_at")}
    return (
        update(_STUDIES)
        .where(_STUDIES.c.study_instance_uid == row["study_instance_uid"])
        .values(urgent=or_(_STUDIES.c.urgent, row["urgent"]), **changed)
    )


def completed_studies(_dialect: Dialect, count: int) -> Select[Any]:
    """Select UID and last calling AE of the waiting studies with an Instance of these associations."""
    return (
        select(_STUDIES.c.study_instance_uid, _STUDIES.c.calling_ae)
        .join(_INSTANCES, _STUDIES.c.study_instance_uid == _INSTANCES.c.study_instance_uid)
        .where(
            any_of(_INSTANCES.c.association_id, count),
            _INSTANCES.c.eligible,
            ~_INSTANCES.c.conflict,
            _STUDIES.c.quiet_at.is_not(None),
        )
        .distinct()
    )


def insert_or_ignore(dialect: Dialect, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that skips rows which violate a unique constraint."""
    maker = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    return maker(table).on_conflict_do_nothing()
