import threading
import time

import pytest

from service.errors import LeaseLost, NotFound, StoreUnavailable
from workers.lease import Lease, insist


class Holder:
    """Counts extensions; `fault` is raised instead when it is set."""

    def __init__(self):
        self.extended = 0
        self.fault = None

    def extend(self):
        """Extend once."""
        if self.fault is not None:
            raise self.fault
        self.extended += 1


@pytest.fixture
def holder():
    """What the lease extends."""
    return Holder()


def test_a_lease_is_extended_three_times_in_its_length(holder):
    """Work that takes longer than the lease keeps it."""
    with Lease(holder.extend, 0.3).kept() as lease:
        time.sleep(0.75)
        assert not lease.lost
    assert 5 <= holder.extended <= 8


def test_work_hears_that_somebody_else_has_it(holder):
    """A third of the lease later at the latest."""
    with Lease(holder.extend, 0.3).kept() as lease:
        holder.fault = LeaseLost("gone")
        time.sleep(0.2)
        assert lease.lost


def test_a_database_away_for_less_than_the_lease_loses_nothing(holder):
    """Nobody could have taken the claim over in that time."""
    with Lease(holder.extend, 0.6).kept() as lease:
        holder.fault = StoreUnavailable("away")
        time.sleep(0.45)
        assert not lease.lost
        holder.fault = None
        time.sleep(0.5)
        assert not lease.lost


def test_a_database_away_for_the_whole_lease_loses_it(holder):
    """Afterwards somebody else may hold the claim: the work must not write."""
    holder.fault = StoreUnavailable("away")
    with Lease(holder.extend, 0.3).kept() as lease:
        time.sleep(0.4)
        assert lease.lost


def test_no_thread_is_left(holder):
    """When the block ends, whatever way, nothing goes on extending."""
    before = threading.active_count()
    with pytest.raises(ValueError, match="work"), Lease(holder.extend, 5).kept():
        raise ValueError("work")
    assert threading.active_count() == before


def test_a_result_is_written_when_the_database_is_back(holder):
    """A write is tried again while the lease is good."""
    faults = [StoreUnavailable("away"), StoreUnavailable("away")]

    def write():
        if faults:
            raise faults.pop()
        return "written"

    assert insist(write, Lease(holder.extend, 5), pause=0.01) == "written"


def test_a_refusal_or_a_lost_lease_ends_the_insisting(holder):
    """What will not pass is raised at once; what may pass, once the lease is over."""

    def refused():
        raise NotFound("no such job")

    def away():
        raise StoreUnavailable("away")

    with pytest.raises(NotFound):
        insist(refused, Lease(holder.extend, 5))
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        insist(away, Lease(holder.extend, 0.2), pause=0.05)
    assert time.monotonic() - begun < 30
