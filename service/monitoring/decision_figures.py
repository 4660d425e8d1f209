"""Figures of decisions, kept in memory: a question reads only what was decided since the one before."""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Unpack

from service.review.figure_table import Chosen, FigureTable
from service.review.figures import Figures, Grouping
from service.review.words import Verdict
from service.store import Store

# A transaction that began earlier may commit later: decisions of this time are read again.
_OVERLAP: Final = timedelta(minutes=10)


class DecisionFigureCache:
    """The figures of one database; threads may share one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._table = FigureTable()
        self._latest: datetime | None = None

    def figures(self, grouping: Grouping, **chosen: Unpack[Chosen]) -> list[Figures]:
        """Return the figures of each group, sorted by name; see `FigureTable.figures`.

        Raises:
            StoreError: The database cannot be used.
        """
        with self._lock:
            self._update()
            return self._table.figures(grouping, **chosen)

    def counts(self) -> tuple[Mapping[Verdict, int], int]:
        """Return how many decisions were made by verdict, and how many of all were undone.

        Raises:
            StoreError: The database cannot be used.
        """
        with self._lock:
            self._update()
            return self._table.made, self._table.undone

    def _update(self) -> None:
        counts = self._store.decision_counts()
        if counts == (len(self._table), self._table.undone):
            return
        self._read(None if self._latest is None else self._latest - _OVERLAP)
        made, _ = self._store.decision_counts()
        if made != len(self._table):
            # Another database took the place of this one, or rows came with earlier times: read all.
            self._table, self._latest = FigureTable(), None
            self._read(None)

    def _read(self, since: datetime | None) -> None:
        for each in self._store.decisions_since(since):
            self._table.add(each)
            self._latest = max(self._latest or each.facts.at, each.facts.at)
        for decision_id in self._store.undone_decisions():
            self._table.undo(decision_id)
