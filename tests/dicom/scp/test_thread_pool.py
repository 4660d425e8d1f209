"""Threads that serve one connection after another."""

import threading
import time
from queue import SimpleQueue

from dicom.scp import thread_pool


def settled(crew_name: str) -> bool:
    """Wait a while; return whether no thread of that name is left."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not any(thread.name == crew_name for thread in threading.enumerate()):
            return True
        time.sleep(0.02)
    return False


def test_a_thread_serves_again_what_comes_after_it_has_served():
    """Works one after another need one thread."""
    served: SimpleQueue[int] = SimpleQueue()
    one = thread_pool.ThreadPool(lambda _: served.put(threading.get_ident()), "crew of one")
    one.submit(1)
    numbers = {served.get(timeout=10)}
    for work in range(20):
        while one._free == 0:
            time.sleep(0.001)
        one.submit(work)
        numbers.add(served.get(timeout=10))
    assert len(numbers) == 1


def test_works_at_the_same_time_do_not_wait():
    """Each of many long works begins at once, in a thread of its own."""
    everybody = threading.Barrier(9)

    def wait() -> None:
        everybody.wait(20)

    crowd = thread_pool.ThreadPool(wait, "crew of eight")
    for _ in range(8):
        crowd.submit()
    everybody.wait(20)
    assert not everybody.broken


def test_threads_without_work_end_and_none_is_lost_meanwhile():
    """Work given while threads are about to end is done; then no thread is left."""
    count = 3000
    served: SimpleQueue[int] = SimpleQueue()
    hasty = thread_pool.ThreadPool(served.put, "hasty crew", idle_timeout=0.001)
    for work in range(count):
        hasty.submit(work)
        if work % 7 == 0:
            time.sleep(0.001)
    assert sorted(served.get(timeout=20) for _ in range(count)) == list(range(count))
    assert settled("hasty crew")
