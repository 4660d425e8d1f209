import asyncio
import json
import threading
import time

import httpx
import pytest

from service.accounts import Role
from service.web import live
from service.web.live import Hub, _View, _Watcher
from service.web.render import NOTHING, Snapshot, part


def changes(stream: httpx.Response):
    """Yield the parts of each event of an open stream."""
    for line in stream.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def open_stream(site, path: str):
    """Open a stream of events."""
    return httpx.stream("GET", site.url + path, timeout=10, headers={"Cookie": site.cookie})


@pytest.mark.serial
def test_a_change_in_the_store_reaches_an_open_stream(site, seeder):
    """The first event holds everything, the next one only the row and the counts that changed."""
    job, other = seeder.waiting(1), seeder.waiting(2)
    with open_stream(site, "live/queue") as stream:
        events = changes(stream)
        first = next(events)
        assert {"counts", "notices", f"job-{job.id}", f"job-{other.id}"} <= set(first["parts"])
        assert first["order"] == [f"job-{other.id}", f"job-{job.id}"]
        began = time.monotonic()
        site.store.cancel(job.id, "test", "No longer needed.")
        second = next(events)
        assert time.monotonic() - began < 8
        assert set(second["parts"]) == {"counts", f"job-{job.id}", "notices"}
        assert "No longer needed." in second["parts"][f"job-{job.id}"]


def test_a_new_job_comes_first_in_the_order(site, seeder):
    """A job that arrives while the page is open is sent with the new order."""
    old = seeder.waiting(1)
    with open_stream(site, "live/queue") as stream:
        events = changes(stream)
        next(events)
        new = seeder.waiting(2)
        change = next(events)
        while f"job-{new.id}" not in change["parts"]:
            change = next(events)
        assert change["order"] == [f"job-{new.id}", f"job-{old.id}"]


def test_a_study_page_follows_its_job(site, seeder):
    """Status, actions and events of the study are sent when its job moves."""
    job = seeder.waiting(1)
    with open_stream(site, f"live/studies/{job.study_instance_uid}") as stream:
        events = changes(stream)
        next(events)
        seeder.claim(job)
        assert {"status", "actions", "events"} <= set(next(events)["parts"])


def test_streams_are_bounded_and_given_back(make_site, eventually):
    """One stream too many is 503 with Retry-After; a closed one makes room."""
    site = make_site(max_streams=2)
    with open_stream(site, "live/queue") as one:
        begun = [changes(one)]
        next(begun[0])
        with open_stream(site, "live/queue?state=FAILED") as two:
            begun.append(changes(two))
            next(begun[1])
            assert site.here.hub.streams == 2
            refused = site.get("/live/queue")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    eventually(lambda: site.here.hub.streams == 0, seconds=10, what="streams given back")


def test_a_stream_that_is_only_asked_about_takes_no_place(make_site):
    """HEAD requests, which begin no stream, do not use up the streams."""
    site = make_site(max_streams=1)
    for _ in range(3):
        assert (
            httpx.head(site.url + "live/queue", headers={"Cookie": site.cookie}).status_code == 200
        )
    assert site.here.hub.streams == 0


def test_polling_gives_the_same_parts_as_the_stream(site, seeder):
    """A page without a stream gets the same data as the first event of a stream."""
    seeder.waiting(1)
    with open_stream(site, "live/queue") as stream:
        streamed = next(changes(stream))
    polled = site.get("/live/queue.json").json()
    assert polled["order"] == streamed["order"]
    assert set(polled["parts"]) == set(streamed["parts"])


def test_an_unknown_study_has_no_stream(site):
    """The stream of a study that never came is 404 at once."""
    assert site.get("/live/studies/1.2.3").status_code == 404


@pytest.mark.serial
def test_a_stop_ends_open_streams(site):
    """Closing the server ends the stream instead of waiting for the page to go."""
    with open_stream(site, "live/queue") as stream:
        events = changes(stream)
        next(events)
        began = time.monotonic()
        site.server.should_exit = True
        assert list(events) == []
        assert time.monotonic() - began < 8


def test_a_closed_hub_refuses_streams():
    """After close no stream begins."""
    hub = Hub(lambda: 0)
    hub.close()
    assert hub.stream("any", lambda: NOTHING).status_code == 503


def test_a_view_that_fails_starves_no_other_and_shows_on_readyz(site, seeder, eventually):
    """A bug in one view is logged and named; others continue, and so does this one afterwards."""
    job = seeder.waiting(1)
    broken = threading.Event()

    def render():
        if broken.is_set():
            raise TypeError("bug")
        return NOTHING

    hub = site.here.hub
    hub._views["broken"] = _View(render)
    hub._views["broken"].watchers.add(_Watcher(asyncio.Event()))
    broken.set()
    with open_stream(site, "live/queue") as stream:
        events = changes(stream)
        next(events)
        eventually(lambda: hub.fault, seconds=20, what="the fault")
        part = site.get("/readyz").json()["parts"]["live_updates"]
        assert (part["ok"], "TypeError" in part["fault"]) == (False, True)
        site.store.cancel(job.id, "test", "No longer needed.")
        change = next(events)
        while f"job-{job.id}" not in change["parts"]:
            change = next(events)
        broken.clear()
        eventually(lambda: not hub.fault, seconds=20, what="the end of the fault")


def test_a_look_that_fails_does_not_end_live_updates(site, seeder, eventually):
    """An unexpected error ends one update; the next one reaches the page."""
    hub, version = site.here.hub, site.here.hub._version
    job = seeder.waiting(1)

    def broken():
        raise KeyError("bug")

    with open_stream(site, "live/queue") as stream:
        events = changes(stream)
        next(events)
        hub._version = broken
        eventually(lambda: "KeyError" in hub.fault, seconds=20, what="the fault")
        hub._version = version
        site.store.cancel(job.id, "test", "No longer needed.")
        change = next(events)
        while f"job-{job.id}" not in change["parts"]:
            change = next(events)
        assert hub.fault == ""


def test_only_what_differs_is_sent():
    """Equal parts are left out, for any other change."""
    old = Snapshot(parts={"arriving": part("arriving", studies=())})
    new = Snapshot(parts={**old.parts, "incidents": part("incidents", incidents=[])})
    assert set(new.since(old)["parts"]) == {"incidents"}
    assert 'data-hash="' in new.parts["incidents"]
    assert 'data-hash=""' not in new.parts["incidents"]


def test_one_stream_serves_several_pages(site, seeder):
    """Each event names its view; views without permission and unknown ones are left out."""
    job = seeder.waiting(1)
    study = f"live/studies/{job.study_instance_uid}"
    asked = {"view": ["live/queue?state=SCHEDULED", study, "live/studies/1.2.3", "api/jobs", "x"]}
    query = str(httpx.QueryParams(asked))
    with open_stream(site, f"live?{query}") as stream:
        events = changes(stream)
        first = [next(events), next(events)]
        assert {each["view"] for each in first} == {"live/queue?state=SCHEDULED", study}
        assert site.here.hub.streams == 1
        site.store.cancel(job.id, "test", "No longer needed.")
        later = [next(events), next(events)]
        parts = {each["view"]: each for each in later}
        assert "No longer needed." in str(parts[study]["parts"])
        assert parts["live/queue?state=SCHEDULED"]["order"] == []
    assert site.get("/live").status_code == 400
    assert site.get("/live?view=live/studies/1.2.3").status_code == 404
    many = "&".join(f"view=live/queue?state={n}" for n in range(65))
    assert site.get(f"/live?{many}").status_code == 400


def test_a_stream_ends_with_the_login(site, seeder, monkeypatch, cookie_of):
    """Also while the page changes constantly; a new request is then 401."""
    cookie_of(site.store, Role.ADMIN, login="other")
    monkeypatch.setattr(live, "_LOGIN_SECONDS", 0.5)
    seeder.waiting(1)
    with open_stream(site, "live/queue") as stream:
        events = changes(stream)
        next(events)
        site.store.set_roles("ann", frozenset({Role.VIEWER}))
        assert list(events) == []
    assert site.get("/live/queue").status_code == 401
