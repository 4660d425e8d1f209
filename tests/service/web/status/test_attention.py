"""What needs a person soon stands on the queue's page."""

from datetime import timedelta

import pytest

from service.records import Reconciliation
from service.web.status.attention import attention

ARCHIVE = {"name": "pacs", "kind": "orthanc", "url": "http://127.0.0.1:9"}


@pytest.fixture
def notices(make_site):
    """A function: what an earlier comparison left -> the titles and sentences of the notices."""
    table = {"archive": ARCHIVE, "calling_ae": "MODALITY", "every_seconds": 10}
    callers = {"callers": [{"ae_title": "MODALITY"}]}
    site = make_site(web={"port": 0}, reconcile=[table], receiver=callers)

    def say(**row):
        if row:
            now = site.store.now()
            first = {"archive": "pacs", "position": 0, "tried_at": now, "complete_at": None}
            first |= {"compared_at": now, "missing": 0, "fault": ""}
            found = Reconciliation(**(first | row))
            site.store.reconciliations = lambda: [found]
        settings = site.here.settings
        return [f"{title} {reason.plain()}" for _, title, reason in attention(site.store, settings)]

    say.store = site.store
    return say


def test_an_archive_that_was_compared_lately_and_is_whole_is_not_mentioned(notices):
    """Silence means that all is well."""
    assert notices(missing=0) == []


@pytest.mark.parametrize(
    ("row", "opening"),
    [
        ({"missing": 1}, "1 study of pacs missing or incomplete here:"),
        ({"missing": 12}, "12 studies of pacs missing or incomplete here:"),
        ({"fault": "it is away"}, "pacs was not compared completely: it is away."),
        ({"fault": "is it running?"}, "pacs was not compared completely: is it running?"),
    ],
)
def test_what_is_missing_and_why_it_is_not_known_is_said(row, opening, notices):
    """How many studies are missing, or what keeps the archive from being compared."""
    (notice,) = notices(**row)
    assert notice.startswith(opening)


def test_an_archive_that_nobody_compares_is_named(notices):
    """Never compared, or not for several periods: the process that compares does not run."""
    assert notices() == ["pacs has not been compared so far: does `wetread reconcile --watch` run?"]
    before = notices.store.now() - timedelta(minutes=5)
    (notice,) = notices(compared_at=before)
    assert notice.startswith("pacs is not compared now: it was last compared ")
