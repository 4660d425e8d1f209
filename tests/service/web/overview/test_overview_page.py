"""The overview of an admin: worst fault first, balance, parts, charts, failures."""

import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import text

from service.accounts import Role
from service.audit import AuditAction
from service.database.engine import make_engine
from service.destination_backlog import Trouble
from service.records import ProcessRole
from service.store.audit.trail import AuditFilter
from service.sweeper.hourly_figures import FigureUpdater

ROLES = (
    ProcessRole.RECEIVER,
    ProcessRole.WEB,
    ProcessRole.SWEEPER,
    ProcessRole.READING,
    ProcessRole.DELIVERY,
)


@pytest.fixture
def site(make_site, redis_url):
    """A site with a broker and room on its disk."""
    return make_site(broker={"url": redis_url}, sweep={"warn_free_bytes": 0, "early_free_bytes": 0})


@pytest.fixture
def redis_url(redis_server):
    """The URL of a real Redis."""
    return redis_server.url


def work(seeder):
    """Record a heartbeat of each role."""
    for role in ROLES:
        seeder.beat(role)


def words(html):
    """Return the text of a page or part, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def part_of(site, name, span="day"):
    """Return the text of a part of the page."""
    return words(site.get(f"/live/overview.json?range={span}").json()["parts"][name])


def worst(site):
    """Return the banner, and its link."""
    html = site.get("/live/overview.json").json()["parts"]["faults"]
    banner = html.partition('<ul class="faults">')[0]
    found = re.search(r'(?:href|action)="\./([^"]+)"', banner)
    return words(banner), unescape(found[1]) if found else ""


def execute(site, statement, **values):
    """Change rows as no function of the store does."""
    engine = make_engine(site.here.settings.database_url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def test_the_worst_fault_comes_first_with_what_repairs_it(site, seeder):
    """Nothing, then a failed delivery, stopped drafting, no receiver, and at last a lost study."""
    work(seeder)
    assert worst(site) == ("No fault is known.", "")
    for number in (1, 2):
        seeder.deliver(seeder.drafted(number), error="PACS refused it", refused=True)
    title, url = worst(site)
    assert title.startswith("2 × Not delivered to orthanc: since")
    assert title.endswith("PACS refused it. Show and retry")
    assert url == "queue?state=FAILED&cause=NOT_DELIVERED&destination=orthanc"
    site.post("/drafting/stop", data={"reason": "maintenance"})
    title, url = worst(site)
    assert title.startswith("Drafting is stopped:")
    assert url == "models"
    site.store.sign_off("receive@host")
    title, url = worst(site)
    assert title.startswith("No image is received now: No process has reported itself lately.")
    assert url == "admin#part-receive"
    seeder.image(3)
    execute(site, "UPDATE studies SET quiet_at = NULL")
    title, url = worst(site)
    assert title.startswith("1 study has no job: The balance does not hold.")
    assert url == "admin/unaccounted/schedule"


def test_a_destination_that_refuses_is_a_fault_while_another_one_is_awaited(site, seeder):
    """The job has not failed yet, so that no group of failures names the destination."""
    work(seeder)
    job, error = seeder.drafted(1, ("orthanc", "other")), "unknown AE title"
    seeder.deliver(job, error=error, refused=True, trouble=Trouble.REFUSED)
    assert part_of(site, "failures").endswith("None.")
    found = part_of(site, "faults")
    assert "orthanc does not get results: The latest result for orthanc failed" in found
    assert "unknown AE title. Open Network" in found
    assert "Destination orthanc refuses" in part_of(site, "parts")


def test_a_lost_study_gets_its_job_by_the_button(site, seeder):
    """The balance does not hold, then it does; each study has a record in the audit trail."""
    work(seeder)
    seeder.completed(1)
    image = seeder.image(2)
    execute(site, "UPDATE studies SET quiet_at = NULL")
    balance = part_of(site, "balance")
    assert "2 received = 1 drafted + 0 waiting + 0 failed + 0 not analyzed + 0 canceled" in balance
    assert "+ 1 unaccounted for" in balance
    assert image.study_instance_uid in balance
    response = site.post("/admin/unaccounted/schedule")
    assert (response.status_code, response.headers["location"]) == (303, "../../admin")
    assert site.store.quiet_studies(site.store.now()) == [image.study_instance_uid]
    (record,) = site.store.audit_records(AuditFilter(study_uid=image.study_instance_uid), limit=10)
    assert record.event.action is AuditAction.READ_AGAIN
    assert "1 drafted + 1 waiting" in part_of(site, "balance")
    assert worst(site)[0] == "No fault is known."


def test_the_balance_is_an_equation_of_studies_and_of_jobs(site, seeder):
    """Each job in one term; a superseded draft is no delivered one."""
    for number, act in enumerate(
        (seeder.waiting, seeder.reading, seeder.drafted, seeder.completed), 1
    ):
        act(number)
    failed = seeder.reading(5)
    site.store.fail(failed.id, failed.fence, "MODEL_ERROR", "It failed.")
    site.store.cancel(seeder.waiting(6).id, "ann")
    balance = part_of(site, "balance")
    assert "6 received = 2 drafted + 2 waiting + 1 failed + 0 not analyzed + 1 canceled" in balance
    assert (
        "6 jobs = 1 delivered + 1 delivering + 1 waiting + 1 reading + 1 failed + 0 not analyzed "
        "+ 1 canceled + 0 superseded" in balance
    )
    assert "The balance holds" in balance


def test_a_part_without_heartbeats_is_not_running(site, seeder):
    """Each expected process has a tile, as have broker, database and disk."""
    seeder.beat(ProcessRole.SWEEPER, restarts=2)
    parts = part_of(site, "parts")
    assert "Sweeper running heartbeat" in parts
    assert "restarted 2 times" in parts
    for name in ("Receiver", "Reading worker", "Delivery worker"):
        assert f"{name} not running No process has reported itself lately." in parts
    assert "Message broker answers" in parts
    assert "Database answers" in parts
    assert "Disk of the spool has room" in parts


def test_charts_have_a_sentence_a_table_and_marks(site, seeder):
    """Over hours and over days; the target is that of the settings."""
    for number in range(3):
        seeder.completed(number)
    failed = seeder.reading(7)
    site.store.fail(failed.id, failed.fence, "MODEL_ERROR", "It failed.")
    site.store.note_version("0.9.9")
    FigureUpdater(site.store).keep()
    for span, rows in (("day", 24), ("month", 30)):
        parts = site.get(f"/live/overview.json?range={span}").json()["parts"]
        for key in ("studies", "latency", "depth", "failures"):
            html = parts[f"chart-{key}"]
            assert 'role="img" aria-label="' in html
            assert html.count("<tr>") == rows + 1
            assert html.count('class="mark"') == 1
        assert "4 studies were received; 3 of them have a draft and no failure" in words(
            parts["chart-studies"]
        )
        assert "the target is 1 min" in words(parts["chart-latency"])
        assert "No job waits now." in words(parts["chart-depth"])
        assert "1 job failed: 1 model error." in words(parts["chart-failures"])
        assert "Wetread 0.9.9" in words(parts["changes"])
        assert "By calling AE MODALITY 4 By model and version demo 0.1 4" in words(parts["sources"])


def test_failures_are_lines_that_lead_to_the_queue(site, seeder):
    """By cause and destination, with the number and the time of the first."""
    for number in range(3):
        seeder.deliver(seeder.drafted(number), error="No space left", refused=True)
    failed = seeder.reading(7)
    site.store.fail(failed.id, failed.fence, "MODEL_ERROR", "It failed <b>.")
    html = site.get("/admin").text
    assert "It failed &lt;b&gt;." in html
    failures = part_of(site, "failures")
    assert "3 × Not delivered to orthanc" in failures
    assert "1 × Model error" in failures
    assert 'href="./queue?state=FAILED&amp;cause=MODEL_ERROR"' in html


def test_only_an_admin_sees_it(site, cookie_of):
    """It is the start page of an admin who reads no studies."""
    admin = cookie_of(site.store, Role.ADMIN, login="adm")
    response = site.get("/", as_=admin)
    assert (response.status_code, response.headers["location"]) == (303, "admin")
    assert site.get("/queue", as_=admin).status_code == 200
    assert "Overview" in site.get("/admin", as_=admin).text
    viewer = cookie_of(site.store, Role.VIEWER, login="vic")
    assert site.get("/admin", as_=viewer).status_code == 403
    assert site.get("/live/overview.json", as_=viewer).status_code == 403


def test_an_hour_that_is_not_computed_is_said(site, seeder):
    """After an upgrade, until the sweeper has computed the older hours."""
    seeder.completed(1)
    long_ago = site.store.now() - timedelta(days=3)
    execute(site, "UPDATE studies SET first_arrival = :at", at=f"{long_ago:%Y-%m-%d %H:%M:%S.%f}")
    assert "not computed yet" in part_of(site, "balance", "month")
    keeper = FigureUpdater(site.store)
    keeper.keep()
    while not keeper.is_filled:
        keeper.compute_older()
    balance = part_of(site, "balance", "month")
    assert "not computed yet" not in balance
    assert "1 received = 1 drafted" in balance


@pytest.mark.browser
def test_the_page_follows_the_store(site, seeder, open_browser, eventually):
    """Banner, balance and charts change without a reload; an open table stays open; no violation."""
    work(seeder)
    browser = open_browser(site.url)
    browser.enter(site)
    browser.open("admin")
    browser.run("window.sameLoad = true; document.getElementById('values-studies').open = true;")
    assert browser.text(".worst") == "No fault is known."
    failed = seeder.reading(1)
    site.store.fail(failed.id, failed.fence, "MODEL_ERROR", "It failed.")
    eventually(
        lambda: browser.text(".worst").startswith("1 × Model error"), seconds=10, what="the banner"
    )
    eventually(lambda: "1 failed" in browser.text("#balance"), seconds=10, what="the balance")
    sentence = "#chart-studies figcaption p"
    eventually(lambda: "1 study" in browser.text(sentence), seconds=10, what="the chart")
    opened = "return [window.sameLoad, document.getElementById('values-studies').open]"
    assert browser.run(opened) == [True, True]
    assert browser.text("#live") == "live"
    browser.open("admin?range=month")
    assert browser.text(".spans [aria-current]") == "The last 30 days"
    assert browser.faults() == []
