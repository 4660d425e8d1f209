"""Send again and read again, by the page's forms and the API, for one job and for many."""

import pytest

from service.jobs import JobState


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


def test_the_form_of_the_queue_sends_many_again(site, seeder):
    """From our own page; the answer has the number done and names the refused ones."""
    job = seeder.completed(1)
    form = {
        "action": "resend",
        "state": "COMPLETED",
        "destination": "orthanc",
        "since": "2020-01-01T00:00",
    }
    assert (
        site.post("/jobs/again", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code
        == 403
    )
    assert site.store.job(job.id).state is JobState.COMPLETED
    answer = site.post("/jobs/again", data=form)
    assert (answer.status_code, "1 job sent again" in answer.text) == (200, True)
    assert site.store.job(job.id).state is JobState.DRAFTED
    nothing = site.post("/jobs/again", data={"action": "resend"})
    assert nothing.status_code == 400
