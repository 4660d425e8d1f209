"""Rows that wait for a batch: urgent ones first, the others in order of arrival."""

from collections.abc import Iterator, Sequence

from workers.model.automodel.rows import Row


class RowQueue:
    """The waiting rows; callers must hold the engine's lock."""

    def __init__(self) -> None:
        self._urgent: list[Row] = []
        self._routine: list[Row] = []

    def __len__(self) -> int:
        return len(self._urgent) + len(self._routine)

    def __iter__(self) -> Iterator[Row]:
        yield from self._urgent
        yield from self._routine

    @property
    def has_urgent(self) -> bool:
        """Whether an urgent row waits."""
        return bool(self._urgent)

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows after those of the same urgency."""
        for row in rows:
            (self._urgent if row.urgent else self._routine).append(row)

    def put_back(self, rows: Sequence[Row]) -> None:
        """Put rows before those of the same urgency, because it was their turn already."""
        self._urgent[:0] = [row for row in rows if row.urgent]
        self._routine[:0] = [row for row in rows if not row.urgent]

    def taken(self, count: int) -> list[Row]:
        """Remove and return the next `count` rows, urgent ones first; questions before answers.

        A question ends after one token and would leave its place in a batch of answers empty: questions
        are taken with questions only, answers with answers.
        """
        first = self._urgent or self._routine
        questions = any(row.question is not None for row in first)
        rows = [row for row in self if (row.question is not None) == questions][:count]
        for row in rows:
            (self._urgent if row.urgent else self._routine).remove(row)
        return rows

    def forget_withdrawn(self) -> None:
        """Remove withdrawn rows, which fail with Canceled."""
        for queue in (self._urgent, self._routine):
            queue[:] = [row for row in queue if not row.withdrawn()]
