"""`/readyz` answers in time with any silent server, and cannot be used to load the service."""

import asyncio
import threading
import time

import pytest

from service.web.readiness import ANSWER_SECONDS, SharedCheck
from tests.databases import make_database

# A timeout that an orchestrator's probe may have.
PROBE_SECONDS = 10.0


def test_all_that_ask_meanwhile_share_one_call():
    """Fifty simultaneous requests are one call; once its answer is old there is another."""
    calls = []

    def look():
        calls.append(1)
        time.sleep(0.2)
        return len(calls)

    async def ask():
        shared = SharedCheck(look, fresh_seconds=0.3)
        first = await asyncio.gather(*[shared.get(5) for _ in range(50)])
        kept = await shared.get(5)
        await asyncio.sleep(0.4)
        return first, kept, await shared.get(5)

    first, kept, later = asyncio.run(ask())
    assert set(first) == {1}
    assert kept == 1
    assert later == 2


def test_a_call_that_takes_too_long_goes_on_and_is_not_started_twice():
    """Each request fails after the limit; the call's answer serves later requests."""
    go_on, calls = threading.Event(), []

    def look():
        calls.append(1)
        assert go_on.wait(30)
        return "late"

    async def ask():
        shared = SharedCheck(look, fresh_seconds=10)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await shared.get(0.05)
        go_on.set()
        return await shared.get(5)

    assert asyncio.run(ask()) == "late"
    assert len(calls) == 1


@pytest.mark.postgres
def test_a_silent_database_is_named_in_time(make_site, postgres_server, silent_proxy):
    """Open connections go silent, as do new ones: both times the answer names the database."""
    url = postgres_server.new_database()
    make_database(url)
    proxy = silent_proxy(postgres_server.port)
    site = make_site(database={"url": url.replace(f":{postgres_server.port}/", f":{proxy.port}/")})
    assert "database" not in site.get("/readyz").json()["faults"]
    for new_too in (False, True):
        proxy.cut(new_too=new_too)
        begun = time.monotonic()
        body = site.get("/readyz").json()
        assert time.monotonic() - begun < PROBE_SECONDS
        assert ("database" in body["faults"]) == new_too
    assert body["destinations"] == {}
    assert body["parts"]["reading_worker"]["fault"] == "Not known: the database does not answer."
    assert ANSWER_SECONDS < PROBE_SECONDS
