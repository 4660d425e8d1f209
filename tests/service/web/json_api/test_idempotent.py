"""Repeated requests of the JSON API act once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.accounts import Role
from service.store.audit.trail import AuditFilter
from service.web.json_api.idempotent import REPEATED

KEY = {"Idempotency-Key": "0123456789abcdef"}


@pytest.fixture
def job(seeder):
    """A delivered job."""
    return seeder.completed(1)


def times(site, job, action="resend") -> int:
    """Return how often an action is in the history of a job."""
    return [each.action for each in site.store.events(job.id)].count(action)


def test_a_repetition_gets_the_first_response(site, job):
    """The same body, marked as repeated; without a key, or with a new one, it is a new action."""
    path, body = f"/api/jobs/{job.id}/resend", {"reason": "PACS restored"}
    first = site.post(path, json=body, headers=KEY)
    again = site.post(path, json=body, headers=KEY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert (again.content, again.headers[REPEATED]) == (first.content, "true")
    assert REPEATED not in first.headers
    assert times(site, job) == 1
    site.post(path, json=body, headers={"Idempotency-Key": "another-key"})
    site.post(path, json=body)
    assert times(site, job) == 3


def test_a_key_belongs_to_one_address_and_body(site, job, seeder):
    """Another body, action or job is 409, and nothing is done."""
    site.post(f"/api/jobs/{job.id}/resend", json={}, headers=KEY)
    other = seeder.completed(2)
    for path, body in (
        (f"/api/jobs/{job.id}/resend", {"reason": "x"}),
        (f"/api/jobs/{job.id}/cancel", {}),
        (f"/api/jobs/{other.id}/resend", {}),
    ):
        refused = site.post(path, json=body, headers=KEY)
        assert (refused.status_code, "another request" in refused.json()["error"]) == (409, True)
    assert (times(site, job), times(site, job, "cancel"), times(site, other)) == (1, 0, 0)


def test_of_two_at_the_same_time_one_acts(site, job):
    """The others get its response, or 409 with the advice to send again."""
    path = f"/api/jobs/{job.id}/resend"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.post(path, json={}, headers=KEY), range(8)))
    for each in answers:
        assert each.status_code == 200 or each.headers["retry-after"] == "1", each.text
    assert 200 in {each.status_code for each in answers}
    assert times(site, job) == 1


def test_the_keys_of_two_persons_are_apart(site, job, cookie_of):
    """The same key of another person is another request."""
    other = cookie_of(site.store, Role.ADMIN, login="kim")
    path = f"/api/jobs/{job.id}/resend"
    site.post(path, json={}, headers=KEY)
    assert REPEATED not in site.post(path, json={}, headers=KEY, as_=other).headers
    assert times(site, job) == 2


def test_a_refused_request_frees_its_key(site, seeder):
    """A job that cannot be retried now can be with the same key once it can."""
    job = seeder.waiting(1)
    path = f"/api/jobs/{job.id}/retry"
    assert site.post(path, json={}, headers=KEY).status_code == 409
    site.post(f"/api/jobs/{job.id}/cancel", json={})
    assert site.post(path, json={}, headers=KEY).status_code == 200
    assert times(site, job, "retry") == 1


def test_a_key_of_another_form_is_400(site, job):
    """Too short, or with a space."""
    for key in ("short", "with a space in it"):
        answer = site.post(f"/api/jobs/{job.id}/resend", json={}, headers={"Idempotency-Key": key})
        assert answer.status_code == 400
    assert times(site, job) == 0


def test_many_jobs_are_sent_once(site, seeder):
    """The repetition of an order for many jobs gets the results of the first; each job is audited."""
    jobs = [seeder.completed(number) for number in range(3)]
    body = {"jobs": [each.id for each in jobs]}
    first = site.post("/api/jobs/resend", json=body, headers=KEY)
    again = site.post("/api/jobs/resend", json=body, headers=KEY)
    assert (first.json(), len(first.json()["done"])) == (again.json(), 3)
    assert [times(site, each) for each in jobs] == [1, 1, 1]
    records = site.store.audit_records(AuditFilter())
    assert [str(each.event.action) for each in records].count("sent again") == 3
