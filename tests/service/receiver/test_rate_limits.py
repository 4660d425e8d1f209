"""The rate of a calling AE, counted by several processes as by one."""

import subprocess
import sys

import pytest

from service.receiver.rate_limits import RateLimits

# Takes images as fast as it can until its input ends, and prints how many were within the limit.
TAKER = """
import sys
from pathlib import Path
from service.receiver.rate_limits import RateLimits

limits = RateLimits(Path(sys.argv[1]), lambda: 1_000.0)
print("ready", flush=True)
sys.stdin.readline()
print(sum(limits.try_take("CR1", 600) for _ in range(500)), flush=True)
"""


@pytest.fixture
def now():
    """The clock's time: a list of one number that the test sets."""
    return [100_000.0]


@pytest.fixture
def limits(tmp_path, now):
    """Limits whose buckets lie in a folder that does not exist yet."""
    return RateLimits(tmp_path / "run" / "rates", lambda: now[0])


def test_a_rate_refills_steadily_and_each_caller_has_its_own(limits, now):
    """Sixty a minute: sixty at once, then one each second."""
    assert [limits.try_take("A", 60) for _ in range(61)] == [True] * 60 + [False]
    assert limits.try_take("B", 60)
    now[0] += 1.0
    assert [limits.try_take("A", 60) for _ in range(2)] == [True, False]
    now[0] += 3600
    assert sum(limits.try_take("A", 60) for _ in range(100)) == 60


def test_two_processes_take_from_one_bucket(tmp_path):
    """Each asks for 500 images at the same time, 600 are allowed: together they get 600, not 1000."""
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for taker in takers:
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        taker.stdin.write("go\n")
        taker.stdin.flush()
    taken = [int(taker.communicate(timeout=60)[0]) for taker in takers]
    assert sum(taken) == 600
    assert all(0 < each <= 500 for each in taken)


def test_a_restart_gives_no_new_bucket(limits, tmp_path, now):
    """A receiver that is started again continues with the bucket of its calling AE."""
    assert sum(limits.try_take("A", 60) for _ in range(60)) == 60
    assert not RateLimits(tmp_path / "run" / "rates", lambda: now[0]).try_take("A", 60)


def test_a_clock_that_is_set_back_stops_no_process(limits, now):
    """An hour back: the bucket continues to fill from there; a little back does not fill it twice."""
    assert sum(limits.try_take("A", 60) for _ in range(60)) == 60
    for _ in range(50):
        now[0] -= 5
        assert not limits.try_take("A", 60)
        now[0] += 5
        assert not limits.try_take("A", 60)
    now[0] -= 3600
    assert not limits.try_take("A", 60)
    now[0] += 1
    assert limits.try_take("A", 60)


def test_a_bucket_that_was_cut_short_is_a_new_one(limits, tmp_path):
    """A truncated bucket counts as a new one; it refuses no calling AE."""
    assert limits.try_take("A", 1)
    (bucket,) = (tmp_path / "run" / "rates").iterdir()
    bucket.write_bytes(b"half")
    assert [limits.try_take("A", 1) for _ in range(2)] == [True, False]
