"""The queue's page: filters in its URL, failures with "retry all", batches by form and keyboard."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from service.accounts import Role
from service.audit import AuditAction
from service.database.engine import make_engine
from service.database.tables import JobRow, StudyRow
from service.jobs import JobState
from service.maintenance.study_identities import StudyIdentityReader
from service.store.audit.trail import AuditFilter
from service.web.queue.batch import MOST


def shown(html: str) -> set[str]:
    """Return the ids of the jobs that a page lists."""
    return set(re.findall(r'<tr id="job-([0-9a-f]{32})"', html))


def counted(html: str) -> str:
    """Return the value of the field with the jobs that a batch was counted for."""
    return re.search(r'name="jobs" value="([^"]*)"', html)[1]


def not_delivered(seeder, number: int):
    """A job whose draft the destination refused."""
    job = seeder.drafted(number)
    seeder.deliver(job, error="The archive is full.", refused=True)
    return seeder.store.job(job.id)


def records(site):
    """The audit records of changes and searches, the oldest first."""
    known = (AuditAction.RETRIED, AuditAction.SEARCHED, AuditAction.CANCELED)
    found = [each.event for each in site.store.audit_records(AuditFilter(), 99)][::-1]
    return [each for each in found if each.action in known]


def test_filters_are_parameters_of_the_url(site, seeder):
    """Each lists the jobs that match; the form shows it; a wrong one is 400 with a message."""
    waiting, held = seeder.waiting(1), seeder.reading(2)
    failed = not_delivered(seeder, 3)
    everything = {waiting.id, held.id, failed.id}
    queries = {
        "": everything,
        "state=FAILED": {failed.id},
        "calling_ae=MODALITY": everything,
        "calling_ae=OTHER": set(),
        "destination=orthanc&state=FAILED": {failed.id},
        "model=demo&older_than=1d": set(),
        "cause=NOT_DELIVERED": {failed.id},
        f"text={held.study_instance_uid[-12:]}": {held.id},
    }
    for query, expected in queries.items():
        html = site.get(f"/queue?{query}").text
        assert shown(html) == expected, query
        assert set(site.get(f"/live/queue.json?{query}").json()["order"]) == {
            f"job-{each}" for each in expected
        }
    assert "No destination named lost is configured" in site.get("/queue?destination=lost").text
    assert '<option value="1d" selected>' in site.get("/queue?older_than=1d").text
    refused = site.get("/queue?sort=name")
    assert refused.status_code == 400
    assert "is not a filter" in refused.text
    assert site.get("/queue?before=%3Cscript%3E").status_code == 404


def test_a_search_for_a_patient_is_audited_and_its_text_is_not_kept(site, seeder, cookie_of):
    """By name, as in the worklist; open to viewers, not to those who only read studies."""
    job = seeder.waiting(1)
    StudyIdentityReader(site.store).record_new()
    name = site.store.identity_of(job.study_instance_uid).patient_name.split("^")[0]
    vic = cookie_of(site.store, Role.VIEWER, login="vic")
    html = site.get(f"/queue?text={name.lower()}", as_=vic).text
    assert job.id in shown(html)
    assert 'type="checkbox"' not in html
    (record,) = records(site)
    assert (record.action, record.actor) == (AuditAction.SEARCHED, "vic (web page)")
    assert name.lower() not in record.detail.lower()
    page = site.get(f"/queue/batch?action=cancel&scope=filter&text={name}").text
    fields = {"action": "cancel", "scope": "filter", "text": name, "jobs": counted(page)}
    site.post("/queue/batch", data=fields)
    assert site.store.job(job.id).state is JobState.CANCELED
    kept = records(site)[1:]
    assert [each.action for each in kept] == [AuditAction.SEARCHED, AuditAction.CANCELED]
    assert not any(name.lower() in each.detail.lower() for each in kept)
    kim = cookie_of(site.store, Role.RADIOLOGIST, login="kim")
    assert site.get("/queue", as_=kim).status_code == 403
    assert site.get(f"/live/queue.json?text={name}", as_=kim).status_code == 403


def test_a_search_by_the_live_view_alone_is_audited(site, seeder, cookie_of):
    """Once for each text, not at each poll; also within the stream of several pages."""
    seeder.waiting(1)
    vic = cookie_of(site.store, Role.VIEWER, login="vic")
    for text in ("doe", "doe", "roe"):
        assert site.get(f"/live/queue.json?text={text}", as_=vic).status_code == 200
    site.get("/queue?text=poe", as_=vic)
    site.get("/live/queue.json?text=poe", as_=vic)
    assert [each.action for each in records(site)] == [AuditAction.SEARCHED] * 3


def test_failures_are_retried_together_after_their_number_was_shown(site, seeder):
    """The link of a group leads to the number; the changes are reported; one record is kept."""
    jobs = [not_delivered(seeder, number) for number in range(1, 5)]
    html = site.get("/queue").text
    assert "4 × Not delivered" in html
    link = re.search(r'href="\./(queue/batch\?[^"]*)">Retry all 4<', html)[1].replace("&amp;", "&")
    page = site.get(link).text
    assert "Retry 4 jobs?" in page
    assert {site.store.job(job.id).state for job in jobs} == {JobState.FAILED}
    site.store.cancel(jobs[0].id, "lee")
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page))
    done = site.post("/queue/batch", data=fields)
    assert "3 jobs retried" in done.text
    assert "from Failed to Canceled" in done.text
    assert {site.store.job(job.id).state for job in jobs[1:]} == {JobState.DRAFTED}
    (record,) = records(site)
    assert record.actor == "ann (web page)"
    assert (
        "3 of 4 jobs; filter: state Failed, destination orthanc, cause NOT_DELIVERED"
        in record.detail
    )
    again = site.post("/queue/batch", data=fields).text
    assert "0 jobs retried" in again


def test_chosen_rows_are_acted_on(site, seeder):
    """Only these; without a choice the page states what to do."""
    jobs = [seeder.waiting(number) for number in range(1, 4)]
    chosen = "&".join(f"job={job.id}" for job in jobs[:2])
    page = site.get(f"/queue/batch?action=cancel&scope=chosen&{chosen}").text
    assert "Cancel 2 jobs?" in page
    fields = {
        "action": "cancel",
        "scope": "chosen",
        "jobs": counted(page),
        "reason": "Test\nimages.",
    }
    assert "2 jobs canceled" in site.post("/queue/batch", data=fields).text
    assert [site.store.job(job.id).state is JobState.CANCELED for job in jobs] == [
        True,
        True,
        False,
    ]
    assert site.store.job(jobs[0].id).reason == "Test images."
    assert "No row was chosen" in site.get("/queue/batch?action=cancel&scope=chosen").text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "drop", "scope": "filter", "state": "FAILED"}, "one of retry, cancel"),
        ({"action": "retry", "scope": "all"}, "scope"),
        ({"action": "retry", "scope": "filter"}, "Give a filter"),
        ({"action": "retry", "scope": "filter", "cause": "?"}, "code of a reason"),
        ({"action": "retry", "scope": "chosen", "jobs": "x"}, "ids with states"),
        ({"action": "retry", "scope": "chosen", "jobs": "0" * 32 + ".NONSENSE"}, "ids with states"),
        ({"action": "retry", "scope": "chosen", "jobs": ""}, "1 to 1,000 jobs"),
        (
            {"action": "resend", "scope": "chosen", "jobs": "0" * 32 + ".FAILED", "to": "x"},
            "orthanc",
        ),
    ],
)
def test_a_wrong_batch_is_refused_with_a_message(site, fields, message):
    """400, never 500, and nothing is changed."""
    answer = site.post("/queue/batch", data=fields)
    assert answer.status_code == 400
    assert message in answer.text


def test_a_batch_holds_a_thousand_jobs(site):
    """Of 1,001 that match, the 1,000 oldest are counted and done; 1,001 at once are refused."""
    now = datetime.now(UTC)
    studies, jobs = [], []
    for number in range(MOST + 1):
        uid, at = f"1.2.{number}", now - timedelta(minutes=number)
        times = {"first_arrival": at, "last_arrival": at}
        studies.append({"study_instance_uid": uid, "calling_ae": "CR", "urgent": False, **times})
        jobs.append(
            {
                "id": f"{number:032x}",
                "study_instance_uid": uid,
                "calling_ae": "CR",
                "model_name": "demo",
                "model_version": "1",
                "revision": 1,
                "state": "FAILED",
                "urgent": False,
                "forced": False,
                "reason_code": "PIXEL_ERROR",
                "created_at": at,
                "updated_at": at,
            }
        )
    engine = make_engine(site.here.settings.database_url)
    with engine.begin() as connection:
        connection.execute(insert(StudyRow), studies)
        connection.execute(insert(JobRow), jobs)
    engine.dispose()
    page = site.get("/queue/batch?action=retry&scope=filter&cause=PIXEL_ERROR").text
    assert "Retry 1,000 jobs?" in page
    assert "More than 1,000 jobs match" in page
    fields = {"action": "retry", "scope": "filter", "cause": "PIXEL_ERROR", "jobs": counted(page)}
    too_many = {**fields, "jobs": f"{fields['jobs']} {'f' * 32}.FAILED"}
    assert site.post("/queue/batch", data=too_many).status_code == 400
    assert "1,000 jobs retried" in site.post("/queue/batch", data=fields).text
    assert site.store.bounded_counts()[JobState.SCHEDULED] == MOST
    assert site.store.job(f"{0:032x}").state is JobState.FAILED  # the newest
    assert len(records(site)) == 1


@pytest.mark.browser
def test_rows_are_chosen_and_retried_by_keyboard(site, seeder, open_browser, eventually):
    """Space marks a row, which stays marked when the row changes; Enter leads to the number and on."""
    jobs = [not_delivered(seeder, number) for number in range(1, 4)]
    browser = open_browser(site.url)
    browser.log_in("ann", "correct horse battery", "/queue")
    live = 'return document.getElementById("live")?.dataset.mode === "live"'
    eventually(lambda: browser.run(live), seconds=20, what="the stream")
    box = f'#job-{jobs[0].id} input[type="checkbox"]'
    browser.run("document.querySelector(arguments[0]).focus()", box)
    browser.press(" ")
    assert browser.text("#chosen-count") == "1 row chosen"
    site.store.make_urgent(jobs[0].id, "lee")
    urgent = f"return !!document.querySelector('#job-{jobs[0].id} .urgent')"
    eventually(lambda: browser.run(urgent), seconds=10, what="the changed row")
    assert browser.run(f"return document.querySelector('{box}').checked")
    assert browser.run("return document.activeElement.type") == "checkbox"
    browser.run("document.querySelector('#batch button').focus()")
    browser.press("\ue007")
    eventually(lambda: "Retry 1 job?" in browser.text("h1"), seconds=20, what="the number")
    browser.run("document.getElementById('confirm').focus()")
    browser.press("\ue007")
    eventually(lambda: "1 job retried" in browser.text("h1"), seconds=20, what="the result")
    states = [site.store.job(job.id).state for job in jobs]
    assert states == [JobState.DRAFTED, JobState.FAILED, JobState.FAILED]
    assert browser.faults() == []
