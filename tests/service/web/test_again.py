"""Send again and read again, by the page's forms and the API, for one job and for many."""

import re

import pytest

from service.jobs import JobState
from service.store.audit.trail import AuditFilter


def study_page(site, job) -> str:
    """Return the page of a job's study."""
    return site.get(f"/studies/{job.study_instance_uid}?job={job.id}").text


def test_the_page_of_a_delivered_study_sends_it_again(site, seeder):
    """The form is there, takes a destination, and the history has the person and the reason."""
    job = seeder.completed(1)
    page = study_page(site, job)
    assert 'id="do-resend"' in page
    assert "<option>orthanc</option>" in page
    form = {"reason": "PACS restored", "destination": "orthanc"}
    answer = site.post(f"/jobs/{job.id}/resend", data=form)
    assert answer.status_code == 303
    assert site.store.job(job.id).state is JobState.DRAFTED
    event = site.store.events(job.id)[-1]
    assert event.action == "resend"
    assert event.reason.startswith("Sent again to orthanc by ann")
    assert event.reason.endswith("PACS restored")


def test_the_page_reads_a_study_again_and_shows_the_new_revision(site, seeder):
    """The answer leads to the page of the new job."""
    job = seeder.completed(1)
    answer = site.post(f"/jobs/{job.id}/reread")
    assert answer.status_code == 303
    newest = site.store.jobs(study=job.study_instance_uid)[0]
    assert newest.id in answer.headers["location"]
    assert (newest.revision, newest.state) == (2, JobState.SCHEDULED)


def test_a_waiting_study_has_neither_form(site, seeder):
    """There is nothing to send, and it is going to be read."""
    page = study_page(site, seeder.waiting(1))
    assert "do-resend" not in page
    assert "do-reread" not in page


def test_several_models_can_be_chosen(make_site, seeder_of):
    """The form names the models, and the chosen one reads."""
    site = make_site(models=[{"name": "second", "model": "tiny"}])
    job = seeder_of(site).completed(1)
    page = study_page(site, job)
    assert "<option>second</option>" in page
    form = {"model": "second"}
    assert site.post(f"/jobs/{job.id}/reread", data=form).status_code == 303
    assert site.store.jobs(study=job.study_instance_uid)[0].model_name == "second"


def test_the_api_sends_and_reads_one_job_again(site, seeder):
    """Both answer with the job that is on its way; a refusal is 404 or 409 with a message."""
    job = seeder.completed(1)
    sent = site.post(f"/api/jobs/{job.id}/resend", json={"destination": "orthanc"})
    assert (sent.status_code, sent.json()["state"]) == (200, "DRAFTED")
    made = site.post(f"/api/jobs/{job.id}/reread", json={"model": "demo"}).json()
    assert (made["revision"], made["state"]) == (2, "SCHEDULED")
    refused = site.post(f"/api/jobs/{job.id}/reread", json={})
    assert (refused.status_code, "waits already" in refused.json()["error"]) == (409, True)
    unknown = site.post(f"/api/jobs/{job.id}/resend", json={"destination": "none"})
    assert (unknown.status_code, "configured are: orthanc" in unknown.text) == (404, True)
    assert site.post(f"/api/jobs/{job.id}/resend", json={"destination": 1}).status_code == 400


def test_the_api_sends_many_again(site, seeder):
    """Jobs by name or by conditions; refused ones are reported with their reason."""
    jobs = [seeder.completed(number) for number in range(1, 4)]
    waiting = seeder.waiting(9)
    answer = site.post("/api/jobs/resend", json={"jobs": [jobs[0].id, waiting.id]}).json()
    assert [each["id"] for each in answer["done"]] == [jobs[0].id]
    assert [each["job"] for each in answer["refused"]] == [waiting.id]
    select = {"state": ["COMPLETED"], "destination": "orthanc"}
    answer = site.post("/api/jobs/reread", json={"select": select, "reason": "new"}).json()
    assert {each["job"] for each in answer["done"]} == {jobs[1].id, jobs[2].id}
    assert answer["refused"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"select": {}},
        {"select": {"state": "NONE"}},
        {"select": {"since": "never"}},
        {"select": {"color": "red"}},
        {"select": []},
        {"jobs": "all"},
        {"jobs": [1]},
    ],
)
def test_many_without_a_clear_choice_are_refused(site, seeder, body):
    """No condition, or an invalid one, is 400 and changes nothing."""
    job = seeder.completed(1)
    answer = site.post("/api/jobs/resend", json=body)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert site.store.job(job.id).state is JobState.COMPLETED


def hidden(page):
    """Return the hidden fields of a page's form."""
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page))


def test_several_are_counted_and_shown_before_they_are_sent_again(site, seeder):
    """Exactly the counted ones are sent; one that changed meanwhile is reported; each is audited."""
    jobs = [seeder.completed(number) for number in (1, 2)]
    query = "action=resend&state=COMPLETED&destination=orthanc&since=2020-01-01T00:00&to=orthanc"
    page = site.get(f"/jobs/again?{query}").text
    assert "Send again: 2 jobs?" in page
    assert all(job.study_instance_uid in page for job in jobs)
    assert {site.store.job(job.id).state for job in jobs} == {JobState.COMPLETED}
    later = seeder.completed(3)
    site.store.resend(jobs[0].id, "lee")
    fields = {**hidden(page), "reason": "Test", "to": "orthanc"}
    strange = {"Sec-Fetch-Site": "cross-site"}
    assert site.post("/jobs/again", data=fields, headers=strange).status_code == 403
    answer = site.post("/jobs/again", data=fields).text
    assert "1 job sent again" in answer
    assert "its state changed from Delivered to Delivering after it was counted" in answer
    assert site.store.job(jobs[1].id).state is JobState.DRAFTED
    assert site.store.job(later.id).state is JobState.COMPLETED
    (record,) = site.store.audit_records(AuditFilter(study_uid=jobs[1].study_instance_uid))
    assert record.event.detail == "one of 2 that were counted"


def test_several_are_read_again_after_they_were_counted(site, seeder):
    """As the next revision."""
    job = seeder.completed(1)
    page = site.get("/jobs/again?action=reread&state=COMPLETED").text
    assert "Read again: 1 job?" in page
    assert "1 job read again" in site.post("/jobs/again", data=hidden(page)).text
    assert site.store.jobs(study=job.study_instance_uid)[0].revision == 2
    assert "No job matches." in site.get("/jobs/again?action=reread&state=FAILED").text


@pytest.mark.parametrize(
    "query",
    ["", "action=drop&state=FAILED", "action=resend", "action=resend&state=NONE"],
)
def test_several_without_a_clear_choice_are_not_counted(site, query):
    """No action, no condition, or an invalid one is 400."""
    assert site.get(f"/jobs/again?{query}").status_code == 400
    assert site.post("/jobs/again", data={"action": "resend", "jobs": "x"}).status_code == 400
    assert site.post("/jobs/again", data={"action": "resend", "state": "FAILED"}).status_code == 400
