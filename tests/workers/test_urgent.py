"""The lane of urgent jobs: one thread more, which outlives what goes wrong with a job."""

import threading
from datetime import UTC, datetime
from types import SimpleNamespace

from service.errors import StoreError
from workers.urgent import UrgentLane


class Queue:
    """Stands in for the store: one urgent job always waits."""

    def now(self):
        """The time does not matter."""
        return datetime.now(UTC)

    def due_readings(self, *_, **__):
        """Always the same job."""
        return [SimpleNamespace(id="1", urgent=True, model_name="demo")]


def test_a_claim_that_the_database_refuses_does_not_close_the_lane():
    """The next look finds the job again."""
    asked, again = [], threading.Event()

    def read(job_id):
        asked.append(job_id)
        if len(asked) == 1:
            raise StoreError("the database refused")
        again.set()

    with UrgentLane(Queue(), "demo", lambda: True, read).open():
        assert again.wait(10)
