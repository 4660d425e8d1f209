"""Counts of HL7 messages by their result."""

from collections.abc import Mapping

from sqlalchemy import select

from service.database.final_report_tables import Hl7MessageRow
from service.records.hl7 import MessageCount, MessageResult
from service.store.session import Transactions

# Number of the advisory lock under which counts are added.
_COUNTING = 0x484C37


class Hl7MessageCounts(Transactions):
    """The part of the store that counts HL7 messages."""

    def add_hl7_messages(self, counts: Mapping[MessageResult, int]) -> None:
        """Add to the counts."""
        now = self.now()
        with self._writing() as session:
            self._exclusive(session, _COUNTING)
            for result, count in counts.items():
                row = session.get(Hl7MessageRow, result.value)
                if row is None:
                    row = Hl7MessageRow(result=result.value, count=0)
                    session.add(row)
                row.count, row.last_at = row.count + count, now

    def hl7_messages(self) -> list[MessageCount]:
        """Return the counts of the results that occurred, in the order of `MessageResult`."""
        with self._reading() as session:
            rows = {row.result: row for row in session.scalars(select(Hl7MessageRow))}
            return [
                MessageCount(result, rows[result.value].count, rows[result.value].last_at)
                for result in MessageResult
                if result.value in rows
            ]
