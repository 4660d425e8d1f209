"""The lane of urgent jobs: one thread more, which continues after errors of a job."""

import threading

from service.errors import StoreError
from workers.reading.urgent_lane import UrgentLane


class Queue:
    """Stands in for the store: one urgent job always waits."""

    def next_urgent(self, _model):
        """Always the same job."""
        return "1"


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


def test_an_unexpected_error_does_not_close_the_lane():
    """A bug in one reading is logged, and the next look finds the job again."""
    asked, again = [], threading.Event()

    def read(job_id):
        asked.append(job_id)
        if len(asked) == 1:
            raise KeyError("bug")
        again.set()

    with UrgentLane(Queue(), "demo", lambda: True, read).open():
        assert again.wait(10)
