"""A time limit over an exchange, with real connections."""

import socket
import time

import pytest

from dicom.network.deadline import SLOWEST, Deadline, allowance, follow_connection


@pytest.fixture
def pair():
    """Two connected sockets."""
    first, second = socket.socketpair()
    yield first, second
    first.close()
    second.close()


def test_a_larger_object_has_more_time():
    """The timeout, and a second for each 128 KiB."""
    assert allowance(30, 0) == 30
    assert allowance(30, 10 * SLOWEST) == 40


def test_a_blocking_read_ends_when_the_deadline_expires(pair):
    """The connection is shut down, so the read returns its end."""
    with Deadline(0.05) as deadline:
        deadline.follow(pair[0])
        assert pair[0].recv(1) == b""
    assert deadline.expired


def test_single_bytes_do_not_extend_it(pair):
    """A peer that sends a byte now and then is cut off all the same."""
    pair[0].settimeout(5)
    with Deadline(0.3) as deadline:
        follow_connection(pair[0])
        received = 0
        try:
            while not deadline.expired:
                pair[1].send(b"x")
                received += len(pair[0].recv(1))
                time.sleep(0.02)
        except OSError:
            pass
    assert deadline.expired
    assert received > 2


def test_an_exchange_in_time_keeps_its_connection(pair):
    """Nothing is shut down, and nothing is called."""
    waits = []
    with Deadline(30, lambda: waits.append(1)) as deadline:
        follow_connection(pair[0])
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"
    assert (deadline.expired, waits) == (False, [])


def test_a_connection_that_comes_late_is_shut_at_once(pair, eventually):
    """As after a slow look-up of the host's name."""
    with Deadline(0.01) as deadline:
        eventually(lambda: deadline.expired, seconds=10, what="the deadline")
        deadline.follow(pair[0])
        assert pair[0].recv(1) == b""


def test_the_outer_deadline_counts_again_after_the_inner_one(pair):
    """Deadlines of one thread may be nested; without any nothing is followed."""
    follow_connection(pair[0])
    with Deadline(30) as outer:
        with Deadline(30):
            pass
        follow_connection(pair[0])
        assert outer._connections == [pair[0]]


def test_a_slow_exchange_is_reported_once(pair):
    """`on_wait` is called before the deadline expires."""
    waits = []
    with Deadline(0.05, lambda: waits.append(1)) as deadline:
        deadline.follow(pair[0])
        pair[0].recv(1)
    assert waits == [1]
