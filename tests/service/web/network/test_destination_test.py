"""Destinations on the page, at `/readyz` and in the metrics; the button that tests one."""

import re
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from service.destination_backlog import Trouble
from service.store import Store

ERROR = "pacs (Orthanc at http://10.0.0.5:8042) gave no answer within 30 s"


@pytest.fixture
def overdue_site(make_site, seeder_of, tmp_path):
    """A site whose destination `pacs` has been silent for 20 minutes, and `archive` answers."""
    folders = [
        {"kind": "folder", "name": name, "path": tmp_path / name} for name in ("pacs", "archive")
    ]
    site = make_site(destinations=folders)
    earlier = Store(
        site.here.settings.database_url, clock=lambda: datetime.now(UTC) - timedelta(minutes=20)
    )
    seeder = type(seeder_of(site))(earlier, seeder_of(site).folder)
    job = seeder.drafted(1, ("pacs", "archive"))
    for _ in range(2):
        delivery, _ = earlier.claim_delivery(job.id, "delivery@front", 60, {})
        if delivery.destination == "archive":
            earlier.confirm_delivery(delivery.id, delivery.fence)
        else:
            earlier.postpone_delivery(
                delivery.id, delivery.fence, ERROR, 3600, trouble=Trouble.SILENT
            )
    yield site
    earlier.close()


def metric(site, name, destination):
    """Return the value of a metric of one destination."""
    line = re.search(
        rf'^{name}{{destination="{destination}"}} (\S+)$', site.get("/metrics").text, re.MULTILINE
    )
    return float(line[1])


def test_an_unreachable_destination_has_a_metric(overdue_site):
    """The age of its oldest result, and the time of the last delivery; for each destination."""
    name = "wetread_oldest_undelivered_seconds"
    assert 1200 <= metric(overdue_site, name, "pacs") < 1260
    assert metric(overdue_site, name, "archive") == 0
    name = "wetread_destination_last_success_timestamp_seconds"
    assert metric(overdue_site, name, "pacs") == 0
    age = datetime.now(UTC).timestamp() - metric(overdue_site, name, "archive")
    assert 1200 <= age < 1260


def test_an_unreachable_destination_does_not_stop_senders(overdue_site):
    """`/readyz` lists it beside the parts: no fault of theirs, and no address."""
    answer = overdue_site.get("/readyz")
    body = answer.json()
    assert body["faults"] == ["broker", "reading_worker"]
    assert body["destinations"]["archive"] == {
        "ok": True,
        "state": "ANSWERING",
        "waiting": 0,
        "overdue": False,
        "paused": False,
        "fault": "",
    }
    pacs = body["destinations"]["pacs"]
    assert (pacs["ok"], pacs["state"], pacs["waiting"]) == (False, "SILENT", 1)
    assert pacs["overdue"] is True
    assert pacs["fault"].startswith("1 result waits for pacs, the oldest from 20")
    assert pacs["fault"].endswith("; it does not answer.")
    assert "10.0.0.5" not in answer.text


def test_the_page_shows_a_notice_and_the_state(overdue_site):
    """The notice has count, time and error; the panel has each destination with its state."""
    html = overdue_site.get("/").text
    notices = html[html.index('id="notices"') : html.index('class="toolbar"')]
    assert "Results do not reach pacs:" in notices
    assert "1 result waits for pacs" in notices
    assert ERROR in notices
    assert "archive" not in notices
    panel = html[html.index('id="destinations"') : html.index('id="processes"')]
    pacs, archive = panel[panel.index("<strong>pacs") :], panel[: panel.index("<strong>pacs")]
    assert "Silent" in pacs
    assert "1 result waits, the oldest from" in pacs
    assert "No success so far" in pacs
    assert "Answers" in archive
    assert "Last success" in archive


def test_without_an_outage_there_is_no_notice(make_site, seeder_of):
    """A new result waits without a notice."""
    site = make_site()
    seeder_of(site).drafted(1)
    html = site.get("/").text
    assert "Results do not reach" not in html
    assert "1 result waits, the oldest from" in html


def test_a_destination_can_be_tested(make_site):
    """The answer states that it works, and no file is left in it."""
    site = make_site()
    answer = site.post("/destinations/orthanc/test")
    assert answer.status_code == 200
    assert "orthanc: works" in answer.text
    assert list(site.here.settings.destinations[0].path.iterdir()) == []


def test_a_destination_that_does_not_work_states_why(make_site, tmp_path):
    """A folder that is a file cannot be written."""
    target = tmp_path / "file"
    target.write_bytes(b"")
    site = make_site(destinations=[{"kind": "folder", "name": "pacs", "path": target}])
    answer = site.post("/destinations/pacs/test")
    assert "pacs: does not work" in answer.text
    assert "cannot be used" in answer.text


def test_a_silent_destination_does_not_hold_the_page(make_site):
    """The test ends in time, and of many at once all but two are refused."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        pacs = {
            "kind": "orthanc",
            "name": "pacs",
            "url": f"http://127.0.0.1:{port}",
            "timeout": 2,
        }
        site = make_site(destinations=[pacs])
        codes = []

        def ask():
            codes.append(site.post("/destinations/pacs/test").status_code)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(codes) == [200, 200, 503, 503]


@pytest.mark.parametrize("path", ["/destinations/orthanc/test", "/destinations/nowhere/test"])
def test_only_the_page_can_ask_for_a_test(make_site, path):
    """For another site nothing is tested; an unknown destination is not found."""
    site = make_site()
    assert site.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    given = site.post(path).status_code
    assert given == (200 if "orthanc" in path else 404)
