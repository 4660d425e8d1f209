"""A limit on requests at once, urgent ones first; no slot is lost."""

import asyncio

import pytest

from workers.model.servers.slots import Slots


def run(scenario):
    """Run a coroutine with two slots."""
    return asyncio.run(scenario(Slots(2)))


async def hold(slots, order, name, *, urgent=False, until):
    """Take a slot, record it, and hold it until an event is set."""
    async with slots.taken(urgent=urgent):
        order.append(name)
        await until.wait()


def test_urgent_requests_come_first_then_the_earliest():
    """Two run; of three that wait the urgent one is next, the others in order."""

    async def scenario(slots):
        order, end = [], asyncio.Event()
        tasks = []
        for name in ("a", "b", "c", "d", "urgent"):
            urgent = name == "urgent"
            tasks.append(asyncio.create_task(hold(slots, order, name, urgent=urgent, until=end)))
            await asyncio.sleep(0)
        assert order == ["a", "b"]
        end.set()
        await asyncio.gather(*tasks)
        return order

    assert run(scenario) == ["a", "b", "urgent", "c", "d"]


@pytest.mark.parametrize("granted", [False, True])
def test_a_canceled_request_gives_its_slot_to_the_next(granted):
    """Canceled while it waits, or in the moment in which it was its turn."""

    async def scenario(slots):
        order, end, first = [], asyncio.Event(), asyncio.Event()
        tasks = [
            asyncio.create_task(hold(slots, order, name, until=first if name == "a" else end))
            for name in ("a", "b", "c", "d")
        ]
        await asyncio.sleep(0.01)
        if granted:
            first.set()
            while not tasks[0].done():
                await asyncio.sleep(0)
        tasks[2].cancel()
        first.set()
        end.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1), slots.taken(), slots.taken():
            return order

    order = run(scenario)
    assert order[:2] == ["a", "b"]
    assert "d" in order


def test_a_failed_request_frees_its_slot():
    """An error within leaves as many slots as before."""

    async def scenario(slots):
        for _ in range(5):
            with pytest.raises(ValueError, match="broken"):
                async with slots.taken():
                    raise ValueError("broken")
        async with asyncio.timeout(1), slots.taken(), slots.taken():
            return True

    assert run(scenario)
