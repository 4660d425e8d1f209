"""Counts of what the receiver did not accept, in a bounded number of rows."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from dicom.scp.refusals import Cause, NotAccepted
from service.database.tables import RefusalRow
from service.records import RefusalCount
from service.store.session import Transactions

# At this number of rows, new keys are counted as OTHERS: peers choose their AE titles, so without a
# limit they could fill the database.
MOST_ROWS: Final = 1000
OTHERS: Final = "(others)"
_KEY: Final = ("cause", "calling_ae", "address", "sop_class_uid")
_KEPT: Final = timedelta(days=90)


class RefusalCounts(Transactions):
    """The part of the store that counts what the receiver did not accept."""

    def add_refusals(self, counts: Mapping[NotAccepted, int]) -> None:
        """Add to the counts, in one transaction."""
        now = self.now()
        with self._write_connection() as connection:
            for refused, count in self._bounded(connection, counts, now).items():
                self._add(connection, refused, count, now)

    def refusals(self, limit: int = 100) -> list[RefusalCount]:
        """Return the counts, the latest changed first."""
        chosen = select(RefusalRow).order_by(RefusalRow.last_at.desc(), RefusalRow.id.desc())
        with self._reading() as session:
            return [_record(row) for row in session.scalars(chosen.limit(limit))]

    def refusal_totals(self) -> dict[tuple[str, str], int]:
        """Return the counts summed by cause and SOP Class UID."""
        totals = select(RefusalRow.cause, RefusalRow.sop_class_uid, func.sum(RefusalRow.count))
        with self._reading() as session:
            found = session.execute(totals.group_by(RefusalRow.cause, RefusalRow.sop_class_uid))
            return {(cause, uid): int(count) for cause, uid, count in found}

    def _bounded(
        self, connection: Connection, counts: Mapping[NotAccepted, int], now: datetime
    ) -> Mapping[NotAccepted, int]:
        """Return `counts`; at MOST_ROWS delete old rows, and count keys without a row as OTHERS."""
        rows = connection.execute(select(func.count()).select_from(RefusalRow)).scalar_one()
        if rows + len(counts) <= MOST_ROWS:
            return counts
        connection.execute(delete(RefusalRow).where(RefusalRow.last_at < now - _KEPT))
        columns = [getattr(RefusalRow, name) for name in _KEY]
        known = {tuple(row) for row in connection.execute(select(*columns))}
        bounded: defaultdict[NotAccepted, int] = defaultdict(int)
        for refused, count in counts.items():
            key = (refused.cause.value, refused.calling_ae, refused.address, refused.sop_class_uid)
            others = replace(refused, calling_ae=OTHERS, address="", sop_class_uid="")
            bounded[refused if key in known else others] += count
        return bounded

    def _add(self, connection: Connection, refused: NotAccepted, count: int, now: datetime) -> None:
        table = RefusalRow.__table__
        if not isinstance(table, Table):
            raise TypeError("RefusalRow is not mapped to one table")
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        values: dict[str, Any] = {
            "cause": refused.cause.value,
            "calling_ae": _printable(refused.calling_ae)[:16],
            "address": _printable(refused.address)[:64],
            "sop_class_uid": _printable(refused.sop_class_uid)[:64],
            "count": count,
            "first_at": now,
            "last_at": now,
        }
        added = {"count": table.c.count + count, "last_at": now}
        statement = insert(table).values(**values)
        connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=added))


def _printable(text: str) -> str:
    """Return `text` in printable ASCII: a character that the database refuses would lose all counts."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text)


def _record(row: RefusalRow) -> RefusalCount:
    refused = NotAccepted(
        cause=Cause(row.cause),
        calling_ae=row.calling_ae,
        address=row.address,
        sop_class_uid=row.sop_class_uid,
    )
    return RefusalCount(
        refused=refused, count=row.count, first_at=row.first_at, last_at=row.last_at
    )
