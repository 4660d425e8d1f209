"""Notices on the queue's page about faults that need a person soon."""

from datetime import timedelta

import pytest

from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.records import Reconciliation
from service.web.status.attention import attention

ARCHIVE = {"name": "pacs", "kind": "orthanc", "url": "http://127.0.0.1:9"}


@pytest.fixture
def notices(make_site):
    """A function: the result of an earlier comparison -> the titles and sentences of the notices."""
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
    """No notice means that all is in order."""
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
def test_what_is_missing_and_why_it_is_not_known_is_reported(row, opening, notices):
    """How many studies are missing, or the reason why the archive cannot be compared."""
    (notice,) = notices(**row)
    assert notice.startswith(opening)


def test_an_archive_that_is_not_compared_is_named(notices):
    """Never compared, or not for several periods: the comparing process does not run."""
    assert notices() == ["pacs has not been compared so far: does `wetread reconcile --watch` run?"]
    before = notices.store.now() - timedelta(minutes=5)
    (notice,) = notices(compared_at=before)
    assert notice.startswith("pacs is not compared now: it was last compared ")


def test_commitment_reports_that_do_not_arrive_are_named(notices, monkeypatch):
    """Once they are older than `delivery.alert_minutes`, or given up: peer, number, reason, remedy."""
    store = notices.store
    reference = Reference(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4")
    for number in (1, 2):
        request = CommitmentRequest(transaction_uid=f"1.2.{number}", references=(reference,))
        store.owe_report(request, ae_title="CR1", host="10.0.0.7", port=2762)
    before = "pacs has not been compared"
    assert all(notice.startswith(before) for notice in notices())
    owed = store.claim_report("sweep", 60)
    store.postpone_report(owed, timedelta(minutes=5), "No answer.", is_peer_away=True)
    now = store.now()
    monkeypatch.setattr(store, "_clock", lambda: now + timedelta(minutes=16))
    (notice,) = [notice for notice in notices() if "commitment" in notice]
    assert notice.startswith(
        "2 storage commitment reports to CR1 not accepted so far: the oldest was"
    )
    assert notice.endswith(" An error: No answer.")
    owed = store.claim_report("sweep", 60)
    assert store.give_up_reports(owed, store.now(), "Refused.") == 2
    (notice,) = [notice for notice in notices() if "commitment" in notice]
    assert notice.startswith(
        "2 storage commitment reports to CR1 given up: the oldest was requested "
    )
    assert notice.endswith(" An error: Refused. `wetread commitment retry` sends them again.")
