import re
from pathlib import Path

from sqlalchemy import event

from service.jobs import JobState
from service.stow.server import ROUTES as STOW_ROUTES
from service.web.app import ROUTES

API_MD = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_documentation_lists_exactly_the_routes():
    """docs/api.md has one row for each route and method, and none for anything else."""
    row = r"^\| (GET|POST|PUT) \| `([^`]+)`"
    documented = set(re.findall(row, API_MD.read_text(), re.MULTILINE))
    served = {
        (
            next(iter({"POST", "PUT"} & (getattr(route, "methods", None) or set())), "GET"),
            route.path,
        )
        for route in [*ROUTES, *STOW_ROUTES]
    }
    assert documented == served


def test_the_documentation_names_every_key_of_a_job(site, seeder):
    """Each key of a job in full, of its parts and of an image stands in docs/api.md."""
    job = seeder.completed(1)
    full = site.get(f"/api/jobs/{job.id}").json()
    image = site.get(f"/api/studies/{job.study_instance_uid}").json()["films"][0]
    keys = set(full) | set(image) | set(full["model"])
    for part in ("deliveries", "objects", "events"):
        keys |= set(full[part][0])
    documented = set(re.findall(r"[a-z_0-9]+", API_MD.read_text()))
    assert keys - documented == set()


def test_jobs_come_newest_first_and_page_by_page(site, seeder):
    """`limit` and `before` walk through all jobs without gap or repetition."""
    made = [seeder.waiting(number).id for number in range(5)]
    seen, following = [], None
    while True:
        page = site.get("/api/jobs", params={"limit": 2, "before": following or ""}).json()
        seen += [job["id"] for job in page["jobs"]]
        following = page["next"]
        if following is None:
            break
    assert seen == made[::-1]


def test_jobs_are_chosen_by_state_and_study(site, seeder):
    """`state` may be given several times; `study` keeps one study."""
    waiting, held, done = seeder.waiting(1), seeder.reading(2), seeder.completed(3)
    asked = site.get("/api/jobs?state=SCHEDULED&state=IN_PROGRESS").json()["jobs"]
    assert {job["id"] for job in asked} == {waiting.id, held.id}
    one = site.get("/api/jobs", params={"study": done.study_instance_uid}).json()["jobs"]
    assert [job["why"] for job in one] == ["Read back from orthanc."]


def test_wrong_questions_are_400_with_a_sentence(site):
    """A state that is none and a limit that is none are refused with a message."""
    for query in (
        "state=NONSENSE",
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=²",
        "limit=0000019999",
    ):
        answer = site.get(f"/api/jobs?{query}")
        assert (answer.status_code, bool(answer.json()["error"])) == (400, True), query


def test_one_job_is_given_in_full_by_its_first_letters(site, seeder):
    """Draft, deliveries, objects and events are there, and no path of this machine."""
    job = seeder.completed(1)
    answer = site.get(f"/api/jobs/{job.id[:8]}")
    full = answer.json()
    assert full["id"] == job.id
    assert full["draft"]["findings"][0]["observation"] == "pneumothorax"
    assert full["deliveries"][0]["state"] == "CONFIRMED"
    assert [event["to_state"] for event in full["events"]][-1] == "COMPLETED"
    assert str(site.here.settings.data_dir) not in answer.text


def test_no_answer_of_the_api_holds_a_patient_attribute(site, seeder):
    """Neither jobs nor studies contain patient attributes of the image's header."""
    job = seeder.completed(1)
    for path in ("/api/jobs", f"/api/jobs/{job.id}", f"/api/studies/{job.study_instance_uid}"):
        assert "PHANTOM" not in site.get(path).text


def test_actions_change_the_job_and_answer_with_it(site, seeder):
    """Urgent, cancel with its reason and retry, one after the other."""
    job = seeder.waiting(1)
    assert site.post(f"/api/jobs/{job.id}/urgent", json={}).json()["urgent"] is True
    canceled = site.post(f"/api/jobs/{job.id}/cancel", json={"reason": "Sent twice."}).json()
    assert (canceled["state"], canceled["reason"]) == ("CANCELED", "Sent twice.")
    assert site.post(f"/api/jobs/{job.id}/retry", json={}).json()["state"] == "SCHEDULED"


def test_an_action_that_the_state_does_not_allow_is_409(site, seeder):
    """Retrying a waiting job and acting on none are refused with a message."""
    job = seeder.waiting(1)
    refused = site.post(f"/api/jobs/{job.id}/retry", json={})
    assert (refused.status_code, bool(refused.json()["error"])) == (409, True)
    assert site.post("/api/jobs/ffffffff/cancel", json={}).status_code == 404


def test_a_foreign_page_cannot_act(site, seeder):
    """Form bodies, foreign origins and bodies that are no JSON object are refused; nothing changes."""
    job = seeder.waiting(1)
    address = f"/api/jobs/{job.id}/cancel"
    assert site.post(address, data={"reason": "x"}).status_code == 415
    assert site.post(address, json={}, headers={"Origin": "http://a.example"}).status_code == 403
    assert site.post(address, json=["x"]).status_code == 400
    assert site.post(address, json={"reason": "x" * 20_000}).status_code == 413
    broken = site.post(address, content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    assert site.store.job(job.id).state is JobState.SCHEDULED


def test_lists_run_a_fixed_number_of_statements(site, seeder):
    """Neither the API's list nor the queue's page queries the database for each job."""

    def counted(path):
        site.get(path)  # what is read every few seconds only
        statements = []

        def note(*arguments):
            statements.append(arguments[2])

        engine = site.store._engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            assert site.get(path).status_code == 200
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return [each for each in statements if "deliveries" in each or "FROM jobs" in each]

    def fewest():
        # The status of the system is refreshed beside the requests, which adds to a single count.
        return [min(len(counted(path)) for _ in range(4)) for path in ("/api/jobs", "/")]

    seeder.drafted(1)
    few = fewest()
    for number in range(2, 12):
        seeder.drafted(number)
    assert fewest() == few
