"""The only place that holds a database session. Frozen records go out, typed errors, nothing else."""

from typing import Self

from service.config import Settings
from service.schema import check
from service.store.arrivals import Arrivals
from service.store.deliveries import Deliveries
from service.store.doubts import Doubts
from service.store.holdings import Holdings
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from service.store.notes import Notes
from service.store.queries import Queries
from service.store.refusals import RefusalCounts
from service.store.repeats import Repeats
from service.store.scheduling import Scheduling
from service.store.tokens import Tokens
from service.store.upkeep import Upkeep
from service.store.wishes import Wishes

__all__ = ["Store"]


class Store(
    Arrivals,
    Scheduling,
    Jobs,
    Wishes,
    Repeats,
    Deliveries,
    Doubts,
    Upkeep,
    Queries,
    Notes,
    Holdings,
    Ledger,
    RefusalCounts,
    Tokens,
):
    """The database of one service; safe to share among threads, one for each process.

    Every method is one transaction and raises `StoreUnavailable` when the database is away, locked
    or full, and `SchemaMismatch` when it lacks a table or column.
    """

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return the store that the settings name.

        Raises:
            StoreUnavailable: The database does not answer.
            SchemaMismatch: It is not at the revision that this code needs.
        """
        check(settings.database_url)
        return cls(settings.database_url, busy_seconds=settings.database.busy_seconds)
