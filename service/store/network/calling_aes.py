"""Counts of what each calling AE has sent, without a statement in the path of an Instance.

The receiver reports ended associations in batches. Instances and Studies are counted afterwards from
the table `instances`, in slices by its key, each slice once; a page adds the rows that follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Connection, Table, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.database.network_tables import ArrivalCountRow, CallingAeRow
from service.database.pieces import pieces
from service.database.tables import InstanceRow
from service.records.network import CallingAe, EndedAssociations
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions

# AE titles with a row of their own; further ones count as OTHERS. An open receiver accepts any title.
MOST_CALLERS: Final = 1000
OTHERS: Final = "(others)"
_SLICE: Final = 5000
# PostgreSQL commits rows out of the order of their ids. An uncommitted row is younger than this.
_SETTLED: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    id: int
    calling_ae: str
    at: datetime
    begins_study: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """Instances and Studies of one calling AE in a slice; `day_` are those of today."""

    at: datetime
    instances: int = 0
    studies: int = 0
    day_instances: int = 0
    day_studies: int = 0

    def with_one(self, arrived: _Arrived, today: str) -> "_Count":
        begun, is_today = int(arrived.begins_study), _day(arrived.at) == today
        return _Count(
            at=max(self.at, arrived.at),
            instances=self.instances + 1,
            studies=self.studies + begun,
            day_instances=self.day_instances + int(is_today),
            day_studies=self.day_studies + begun * int(is_today),
        )


class CallingAeCounts(Transactions):
    """The part of the store that counts what calling AEs send."""

    def add_associations(self, ended: Mapping[str, EndedAssociations]) -> None:
        """Add ended associations, by calling AE title, in one transaction."""
        with self._write_connection() as connection:
            for name, each in self._with_caller_row(connection, ended):
                added = {
                    "address": each.address[:64],
                    "associated_at": each.at,
                    "associations": CallingAeRow.associations + each.count,
                }
                self._upsert_caller(connection, name, added, {**added, "associations": each.count})

    def count_arrivals(self) -> int:
        """Count the next Instances in the order of their rows; return how many, 0 if none is left.

        The rows of the last minute are left for later.
        """
        now = self.now()
        with self._read_connection() as connection:
            through = _counted_through(connection)
            arrived = _arrived_after(connection, through)
        settled = list(takewhile(lambda each: abs(now - each.at) > _SETTLED, arrived))
        if not settled:
            return 0
        counts = _by_caller(settled, _day(now))
        advance = (
            update(ArrivalCountRow)
            .where(ArrivalCountRow.counted_through == through)
            .values(counted_through=settled[-1].id)
        )
        with self._write_connection() as connection:
            if not connection.execute(advance).rowcount:
                return 0  # another sweeper has counted them
            for name, each in self._with_caller_row(connection, counts):
                self._add_arrivals(connection, name, each, _day(now))
        return len(settled)

    def calling_aes(self) -> list[CallingAe]:
        """Return the calling AEs that were seen, by title, with the Instances that arrived until now."""
        today = _day(self.now())
        with self._read_connection() as connection:
            recent = _arrived_after(connection, _counted_through(connection))
            rows = connection.execute(select(CallingAeRow.__table__)).mappings().all()
        found = {row["ae_title"]: _record(dict(row), today) for row in rows}
        for name, count in _by_caller(recent, today).items():
            found[name] = _plus(found.get(name) or CallingAe(ae_title=name), count)
        return [found[name] for name in sorted(found)]

    def _with_caller_row(
        self, connection: Connection, given: Mapping[str, Any]
    ) -> list[tuple[str, Any]]:
        """Return the entries with the AE title whose row counts them: OTHERS at MOST_CALLERS rows."""
        known = set(connection.scalars(select(CallingAeRow.ae_title)))
        found = []
        for name, each in given.items():
            if name in known or len(known) < MOST_CALLERS:
                known.add(name)
                found.append((name, each))
            else:
                found.append((OTHERS, each))
        # In one order: two processes that update the same rows would else wait for each other.
        return sorted(found, key=lambda entry: entry[0])

    def _add_arrivals(self, connection: Connection, name: str, count: _Count, today: str) -> None:
        row = CallingAeRow
        is_today = row.day == today
        first = {
            "arrived_at": count.at,
            "instances": count.instances,
            "studies": count.studies,
            "day": today,
            "day_instances": count.day_instances,
            "day_studies": count.day_studies,
        }
        of_day = {
            key: case((is_today, getattr(row, key) + first[key]), else_=first[key])
            for key in ("day_instances", "day_studies")
        }
        added = {
            **first,
            **of_day,
            "instances": row.instances + count.instances,
            "studies": row.studies + count.studies,
        }
        self._upsert_caller(connection, name, added, first)

    def _upsert_caller(
        self, connection: Connection, name: str, added: Mapping[str, Any], first: Mapping[str, Any]
    ) -> None:
        """Update the row of a calling AE by `added`, or insert it with `first`."""
        table = CallingAeRow.__table__
        if not isinstance(table, Table):
            raise TypeError("CallingAeRow is not mapped to one table")
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        values = {"ae_title": name, **_EMPTY, **first}
        statement = insert(table).values(**values)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["ae_title"], set_=dict(added))
        )


_EMPTY: Final[Mapping[str, Any]] = {
    "address": "",
    "associated_at": None,
    "associations": 0,
    "arrived_at": None,
    "instances": 0,
    "studies": 0,
    "day": "",
    "day_instances": 0,
    "day_studies": 0,
}


def _day(at: datetime) -> str:
    """Return the day of a time in the time zone of the site, ISO 8601."""
    return at.astimezone().date().isoformat()


def _counted_through(connection: Connection) -> int:
    return connection.execute(select(ArrivalCountRow.counted_through)).scalar_one()


def _arrived_after(connection: Connection, through: int) -> list[_Arrived]:
    """Return the Instances after this row, at most `_SLICE`, in the order of their rows."""
    columns = (
        InstanceRow.id,
        InstanceRow.calling_ae,
        InstanceRow.study_instance_uid,
        InstanceRow.received_at,
    )
    patients = not_a_probe(InstanceRow.study_instance_uid)
    chosen = select(*columns).where(InstanceRow.id > through, patients).order_by(InstanceRow.id)
    rows = connection.execute(chosen.limit(_SLICE)).all()
    known = _begun_before(connection, through, {row.study_instance_uid for row in rows})
    arrived = []
    for row in rows:
        begins = row.study_instance_uid not in known
        known.add(row.study_instance_uid)
        arrived.append(
            _Arrived(id=row.id, calling_ae=row.calling_ae, at=row.received_at, begins_study=begins)
        )
    return arrived


def _begun_before(connection: Connection, through: int, studies: Iterable[str]) -> set[str]:
    """Return those of these Studies that have an Instance up to this row."""
    found: set[str] = set()
    for uids in pieces(sorted(studies)):
        chosen = (
            select(InstanceRow.study_instance_uid)
            .where(InstanceRow.study_instance_uid.in_(uids))
            .group_by(InstanceRow.study_instance_uid)
            .having(func.min(InstanceRow.id) <= through)
        )
        found.update(connection.scalars(chosen))
    return found


def _by_caller(arrived: Sequence[_Arrived], today: str) -> dict[str, _Count]:
    counts: dict[str, _Count] = {}
    for each in arrived:
        count = counts.get(each.calling_ae) or _Count(at=each.at)
        counts[each.calling_ae] = count.with_one(each, today)
    return counts


def _record(row: Mapping[str, Any], today: str) -> CallingAe:
    is_today = row["day"] == today
    return CallingAe(
        ae_title=row["ae_title"],
        address=row["address"],
        associated_at=row["associated_at"],
        associations=row["associations"],
        arrived_at=row["arrived_at"],
        instances=row["instances"],
        studies=row["studies"],
        day_instances=row["day_instances"] if is_today else 0,
        day_studies=row["day_studies"] if is_today else 0,
    )


def _plus(known: CallingAe, count: _Count) -> CallingAe:
    return replace(
        known,
        arrived_at=max(filter(None, (known.arrived_at, count.at))),
        instances=known.instances + count.instances,
        studies=known.studies + count.studies,
        day_instances=known.day_instances + count.day_instances,
        day_studies=known.day_studies + count.day_studies,
    )
