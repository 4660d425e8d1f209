import threading

import pytest

from service.errors import LeaseLost, NotFound, StoreUnavailable
from workers.lease import Lease, retry_while_held


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
    """The claim that the lease extends."""
    return Holder()


class Seconds:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self):
        """Return the time."""
        return self.now


@pytest.fixture
def seconds():
    """A clock that the test sets."""
    return Seconds()


@pytest.fixture
def lease(holder, seconds):
    """A lease of 30 s by the test's clock, which the test extends."""
    return Lease(holder.extend, 30, clock=seconds)


def test_a_lease_is_extended_three_times_in_its_length(lease, seconds):
    """Work that takes longer than the lease keeps it; without an extension it ends."""
    assert lease.interval == 10
    for _ in range(9):
        seconds.now += lease.interval
        lease.extend()
        assert not lease.lost
    seconds.now += 30
    assert not lease.lost
    seconds.now += 0.1
    assert lease.lost


def test_a_lease_that_is_kept_extends_itself(holder, eventually):
    """A thread does it, again and again, while the block runs."""
    with Lease(holder.extend, 0.03).kept():
        eventually(lambda: holder.extended >= 5, seconds=60, what="five extensions")


def test_a_claim_that_another_worker_holds_is_lost_at_the_next_extension(lease, holder, seconds):
    """A third of the lease later, and for good."""
    holder.fault = LeaseLost("gone")
    seconds.now += lease.interval
    assert not lease.lost
    assert not lease.extend()
    assert lease.lost
    holder.fault = None
    lease.extend()
    assert lease.lost


def test_the_thread_of_a_lost_lease_ends(holder, eventually):
    """What another worker holds is not extended any more."""
    before = threading.active_count()
    holder.fault = LeaseLost("gone")
    with Lease(holder.extend, 0.03).kept() as lease:
        eventually(lambda: lease.lost, seconds=60, what="the loss")
        eventually(lambda: threading.active_count() == before, seconds=60, what="the thread's end")


def test_a_database_away_for_less_than_the_lease_loses_nothing(lease, holder, seconds):
    """No other worker could have taken the claim in that time."""
    holder.fault = StoreUnavailable("away")
    for _ in range(2):
        seconds.now += lease.interval
        lease.extend()
    seconds.now += 9
    assert not lease.lost
    holder.fault = None
    lease.extend()
    seconds.now += 29
    assert not lease.lost


def test_a_database_away_for_the_whole_lease_loses_it(lease, holder, seconds):
    """Afterwards another worker may hold the claim: the work must not write."""
    holder.fault = StoreUnavailable("away")
    for _ in range(3):
        seconds.now += lease.interval
        lease.extend()
    assert not lease.lost
    seconds.now += 1
    assert lease.lost


def test_no_thread_is_left(holder):
    """When the block ends, in any way, nothing continues extending."""
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

    assert retry_while_held(write, Lease(holder.extend, 5), pause=0.01) == "written"


def test_a_refusal_or_a_lost_lease_ends_the_insisting(holder):
    """A permanent error is raised at once; a temporary one once the lease is over."""

    def refused():
        raise NotFound("no such job")

    def away():
        raise StoreUnavailable("away")

    with pytest.raises(NotFound):
        retry_while_held(refused, Lease(holder.extend, 5))
    with pytest.raises(StoreUnavailable):
        retry_while_held(away, Lease(holder.extend, 0.2), pause=0.05)
