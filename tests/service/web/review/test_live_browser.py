"""Two persons at one draft, and a draft that arrives, in headless Chromium: said by the live stream."""

import re
import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.serial]

SHOWN = "return document.getElementById('missing')?.textContent !== 'The image is not shown yet.'"
# No request leaves the page any more; the stream belongs to a worker.
NO_POLLING = "window.fetch = () => Promise.reject(new TypeError('away'))"
SECONDS = 5


@pytest.fixture
def seeder(reading_site, seeder_of):
    """The object that fills the site's store."""
    return seeder_of(reading_site)


def test_a_person_who_opens_and_stores_the_draft_is_named_within_seconds(
    reading_site, seeder, person, eventually
):
    """With the time, by the stream alone: the first page sends no request."""
    job = seeder.drafted(1)
    his = person(then=f"/read/{job.id}")
    eventually(lambda: his.run(SHOWN), seconds=20, what="the image")
    time.sleep(1)  # its first look at who is here
    his.run(NO_POLLING)
    hers = person("curie", "Marie Curie", then=f"/read/{job.id}")
    opened = r"^Also open: Marie Curie \(since \d\d:\d\d\)$"
    eventually(
        lambda: re.match(opened, his.text("#others")), seconds=SECONDS, what="who opened the draft"
    )
    eventually(lambda: hers.run(SHOWN), seconds=20, what="her image")
    hers.press(" ", "e")
    hers.press(*" Hers.")
    eventually(lambda: reading_site.store.review(job.id), seconds=15, what="her text stored")
    eventually(lambda: "changed" in his.text("#alert"), seconds=SECONDS, what="who stored a text")
    stored = r"Marie Curie changed the text of this draft at \d\d:\d\d \(version 1\)\. Reload"
    assert re.match(stored, his.text("#alert"))
    assert hers.text("#others").startswith("Also open: Wilhelm Röntgen")
    assert his.faults() + hers.faults() == []


def test_the_page_of_a_link_opens_the_draft_when_it_is_made(seeder, person, eventually):
    """It states why there is none, follows the state, and goes to the draft."""
    job = seeder.waiting(1)
    who = person()
    who.open(f"/read/by-study?study={job.study_instance_uid}")
    assert "Waiting for a worker:" in who.text("#state")
    held = seeder.claim(job)
    state = "return document.getElementById('state')?.textContent ?? ''"
    eventually(lambda: "reading@gpu-1" in who.run(state), seconds=10, what="the new state")
    seeder.finish(held)
    path = "return location.pathname"
    eventually(lambda: who.run(path) == f"/read/{job.id}", seconds=15, what="the draft")
    assert who.faults() == []
