import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicom.spool.group_commit import GroupCommit

LONG = 120  # seconds, an upper bound only: twenty threads start slowly on a loaded machine


def test_what_comes_while_one_works_is_done_at_once():
    """All 20 items that arrive during the first call are committed in one call."""
    begun, go_on = threading.Event(), threading.Event()
    batches = []

    def square(items):
        batches.append(len(items))
        begun.set()
        assert go_on.wait(LONG)
        return [item * item for item in items]

    together = GroupCommit(square)
    with ThreadPoolExecutor(21) as threads:
        first = threads.submit(together.submit, 3)
        assert begun.wait(LONG)
        others = [threads.submit(together.submit, number) for number in range(20)]
        while len(together._waiting) < 20:
            time.sleep(0.005)
        go_on.set()
        assert first.result(LONG) == 9
        assert [other.result(LONG) for other in others] == [number**2 for number in range(20)]
    assert batches == [1, 20]


def test_an_error_reaches_all_of_its_batch_and_no_later_one():
    """A request after a failure succeeds."""
    together = GroupCommit(lambda items: [1 / item for item in items])
    with pytest.raises(ZeroDivisionError):
        together.submit(0)
    assert together.submit(4) == 0.25


def test_a_waiting_request_gets_the_failure():
    """If a batch fails one thread gets the error, the others a BatchFailed."""
    begun, go_on = threading.Event(), threading.Event()

    def invert(items):
        begun.set()
        assert go_on.wait(LONG)
        return [1 / item for item in items]

    together = GroupCommit(invert)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(together.submit, 1)
        assert begun.wait(LONG)
        others = [threads.submit(together.submit, number) for number in (2, 0, 4)]
        while len(together._waiting) < 3:
            time.sleep(0.005)
        go_on.set()
        assert first.result(LONG) == 1
        errors = [type(other.exception(LONG)) for other in others]
    assert sorted(error.__name__ for error in errors) == ["BatchFailed"] * 2 + ["ZeroDivisionError"]


def test_many_threads_each_get_their_own_result():
    """No result is mixed up or lost when 64 threads commit repeatedly."""
    together = GroupCommit(lambda items: [-item for item in items])
    with ThreadPoolExecutor(64) as threads:
        assert list(threads.map(together.submit, range(1, 5000))) == [-n for n in range(1, 5000)]
    assert together._waiting == []
    assert not together._working
