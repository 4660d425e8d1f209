"""Times in stored sentences: stated in UTC, shown in the zone of the site."""

import time
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from service.stated_time import pieces_of, stated, with_local_times
from service.web.render import part

AT = datetime(2026, 11, 30, 22, 5, tzinfo=UTC)


@pytest.fixture
def seoul(monkeypatch):
    """A site whose zone differs from UTC, also by its day."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_is_found_again_in_a_sentence():
    """Whatever zone it was given in."""
    there = AT.astimezone(timezone(timedelta(hours=9)))
    assert stated(there) == "2026-11-30T22:05:00Z"
    assert list(pieces_of(f"Since {stated(there)}: full.")) == ["Since ", AT, ": full."]


@pytest.mark.parametrize(
    "text",
    ["2026-11-30 22:05 UTC", "2026-11-30 22:05:00+00:00", "2026-11-30T22:05:00.000000Z"],
)
def test_the_times_of_earlier_versions_are_found(text):
    """They are in the incidents of a site that was upgraded."""
    assert list(pieces_of(text)) == ["", AT, ""]


@pytest.mark.parametrize(
    "text",
    ["", "2026-13-30T22:05:00Z", "2026-11-30T22:05:00", "2026-11-30 22:05 UTCX", "1.2.840.2026"],
)
def test_other_texts_are_left(text):
    """A time without a zone, and what is no time."""
    assert list(pieces_of(text)) == [text]


@pytest.mark.usefixtures("seoul")
def test_pages_and_messages_use_the_zone_of_the_site():
    """With its name on pages, with its offset in a message; other text is escaped."""
    sentence = f"Paused {stated(AT)} <b>."
    assert with_local_times(sentence) == "Paused 2026-12-01 07:05 +0900 <b>."
    incident = SimpleNamespace(kind="disk_full", at=AT, subject="", detail=sentence, actor="x")
    html = part("incidents", incidents=[incident])
    element = '<time datetime="2026-11-30T22:05:00+00:00">01 Dec 2026 07:05 KST</time>'
    assert f"Paused {element} &lt;b&gt;." in html
