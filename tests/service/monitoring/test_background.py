"""A background task continues after an unexpected error, and is reported as failing."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from service.errors import StoreUnavailable
from service.monitoring.background import Task, in_thread


def fail():
    """Raise an error whose message quotes a value."""
    return {}["sec" + "ret"]


def test_a_task_fails_until_it_succeeds():
    """The fault is logged once with its place and without its message, and so is its end."""
    task = Task("look around")
    with capture_logs() as logs:
        assert [task.attempt(fail), task.attempt(fail)] == [False, False]
        assert task.fault == (
            'The task "look around" fails (KeyError) and is tried again: see the log.'
        )
        assert task.attempt(lambda: None)
    assert task.fault == ""
    assert [entry["event"] for entry in logs] == ["task_failed", "task_recovered"]
    assert "in fail" in logs[0]["places"]
    assert "secret" not in repr(logs)


def test_an_item_that_fails_keeps_no_later_one_from_being_done():
    """All items are tried, and the task fails because of one."""
    done = []

    def work(item):
        done.append(item)
        if item == 2:
            fail()

    task = Task("all")
    assert not task.attempt_each(work, [1, 2, 3])
    assert (done, bool(task.fault)) == ([1, 2, 3], True)


def test_an_error_that_the_caller_handles_is_passed_on():
    """It is no statement about the task."""
    task = Task("look", passed_on=(StoreUnavailable,))

    def away():
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        task.attempt(away)
    assert task.fault == ""


def test_a_coroutine_is_attempted_likewise():
    """Its error becomes the fault; its cancellation ends the task."""

    async def broken():
        fail()

    async def canceled():
        raise asyncio.CancelledError

    task = Task("look")
    assert asyncio.run(task.attempt_async(broken)) is False
    assert "KeyError" in task.fault
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(task.attempt_async(canceled))


def test_a_thread_of_a_block_ends_with_the_block():
    """Also when the block fails."""
    began, stop, ended = (threading.Event() for _ in range(3))

    def run():
        began.set()
        stop.wait()
        ended.set()

    def fail_in_block():
        with in_thread(run, stop, "test"):
            assert began.wait(10)
            fail()

    with pytest.raises(KeyError):
        fail_in_block()
    assert ended.is_set()
