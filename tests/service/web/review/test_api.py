"""Reviews and decisions over HTTP: versions, keys, conflicts, and access rights."""

from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest

from service.accounts import Role
from service.web.app import make_app

ROENTGEN = SimpleNamespace(
    login="roentgen", display_name="Wilhelm Röntgen", dicom_name="Röntgen^Wilhelm"
)
CURIE = SimpleNamespace(login="curie", display_name="Marie Curie", dicom_name="")


class Browser:
    """A person at a browser, or one without a login."""

    def __init__(self, app, cookie):
        self.transport = httpx.ASGITransport(app)
        self.headers = {"Cookie": cookie} if cookie else {}

    async def ask(self, method, path, **options):
        """Return the answer to a request."""
        async with httpx.AsyncClient(
            transport=self.transport, base_url="http://localhost", headers=self.headers
        ) as client:
            return await client.request(method, path, **options)


@pytest.fixture
def anyio_backend():
    """The event loop of the tests here."""
    return "asyncio"


@pytest.fixture
def app(make_site):
    """The application of a site with a name."""
    return make_site(site_name="Klinikum Süd")


@pytest.fixture
def browser(app, cookie_of):
    """A function that returns the browser of a person."""
    made, cookies = make_app(app.here), {}

    def browser_of(person):
        if person is not None and person.login not in cookies:
            names = {"display_name": person.display_name, "dicom_name": person.dicom_name}
            cookies[person.login] = cookie_of(app.store, login=person.login, **names)
        return Browser(made, cookies[person.login] if person is not None else "")

    return browser_of


@pytest.fixture
def job(app, reviewing):
    """A drafted job."""
    return reviewing.drafted(app.store)


pytestmark = pytest.mark.anyio


def decision(review, **changes):
    """Return the body of an accepting decision, everything agreed."""
    content = review["review"]["content"]
    for each in content["sentences"]:
        each["answer"] = "agree"
    return {
        "verdict": "accept",
        "base_version": review["review"]["version"],
        "acceptability": 1,
        "seconds": {"total": 9.5, "image": 9},
        "content": content,
        **changes,
    }


def key(value="key-0001"):
    """Return the header with an idempotency key."""
    return {"Idempotency-Key": value}


async def test_a_review_shows_the_draft_and_what_must_be_answered(browser, job):
    """By job and by study, with the version as ETag."""
    one = browser(ROENTGEN)
    answer = await one.ask("GET", f"/api/jobs/{job.id}/review")
    review = answer.json()
    assert answer.headers["etag"] == '"0"'
    assert [each["id"] for each in review["sentences"]] == ["f1", "f2", "f3", "f4", "i1"]
    assert review["sentences"][2]["must_answer"] == ["contradicted", "urgent"]
    assert review["sentences"][1]["findings"] == ["pleural-effusion"]
    assert review["findings"][1]["sentences"] == ["f2"]
    assert review["unanswered"] == ["f2", "f3", "f4", "i1"]
    assert review["not_mentioned"] == ["edema"]
    assert (review["obstacle"], review["decision"], review["open"]) == (None, None, [])
    assert (await one.ask("GET", "/api/studies/1.2.3/review")).json() == review


async def test_a_text_is_stored_and_the_second_editor_gets_both(browser, job, reviewing):
    """Without If-Match 428, with an outdated one 412 and the other text; nothing is overwritten."""
    hers, his = browser(CURIE), browser(ROENTGEN)
    path = f"/api/jobs/{job.id}/review"
    content = reviewing.content(texts={"f1": "Hers."}).to_json()
    assert (await hers.ask("PUT", path, json=content)).status_code == 428
    bad = await hers.ask("PUT", path, json=content, headers={"If-Match": "*"})
    assert bad.status_code == 400
    stored = await hers.ask("PUT", path, json=content, headers={"If-Match": '"0"'})
    assert (stored.status_code, stored.headers["etag"]) == (200, '"1"')
    mine = reviewing.content(texts={"f1": "His."}).to_json()
    refused = await his.ask("PUT", path, json=mine, headers={"If-Match": '"0"'})
    assert (refused.status_code, refused.headers["etag"]) == (412, '"1"')
    assert refused.json()["current"]["by"] == "Marie Curie"
    assert refused.json()["current"]["content"]["sentences"][0]["text"] == "Hers."
    assert refused.json()["error"].startswith("Marie Curie stored another text")
    review = (await his.ask("GET", path)).json()
    assert review["review"]["content"] == content
    stored = await his.ask("PUT", path, json=mine, headers={"If-Match": '"1"'})
    assert stored.json()["version"] == 2


async def test_a_decision_is_made_once_and_undone(browser, job):
    """201, then 200 for the same request, 409 for another one with its key; then undo."""
    one = browser(ROENTGEN)
    review = (await one.ask("GET", f"/api/jobs/{job.id}/review")).json()
    path, body = f"/api/jobs/{job.id}/decisions", decision(review)
    assert (await one.ask("POST", path, json=body)).status_code == 428
    made = await one.ask("POST", path, json=body, headers=key())
    assert made.status_code == 201
    assert made.json()["by"]["organization"] == "Klinikum Süd"
    assert made.json()["report"]["state"] == "waiting"
    again = await one.ask("POST", path, json=body, headers=key())
    assert (again.status_code, again.json()) == (200, made.json())
    other = await one.ask("POST", path, json={**body, "acceptability": 2}, headers=key())
    assert other.status_code == 409
    listed = (await one.ask("GET", path)).json()["decisions"]
    assert listed == [made.json()]
    review = (await one.ask("GET", f"/api/jobs/{job.id}/review")).json()
    assert review["decision"] == made.json()
    undo = f"/api/decisions/{made.json()['id']}/undo"
    assert (await browser(CURIE).ask("POST", undo, json={})).status_code == 409
    undone = await one.ask("POST", undo, json={})
    assert undone.json()["report"]["state"] == "undone"
    assert undone.json()["undone_at"]


async def test_the_second_person_is_refused_with_the_decision_that_stands(browser, job):
    """Person, decision and time."""
    one, two = browser(ROENTGEN), browser(CURIE)
    review = (await one.ask("GET", f"/api/jobs/{job.id}/review")).json()
    path = f"/api/jobs/{job.id}/decisions"
    await one.ask("POST", path, json=decision(review), headers=key())
    refused = await two.ask("POST", path, json=decision(review), headers=key())
    assert refused.status_code == 409
    assert refused.json()["decision"]["by"]["name"] == "Wilhelm Röntgen"
    assert "has accepted this draft" in refused.json()["error"]


async def test_a_wrong_patient_draft_cannot_be_accepted_and_states_why(app, browser, job):
    """The obstacle stands in the review and in the refusal."""
    app.store.withdraw(job.id, "admin", "Bad weights.")
    one = browser(ROENTGEN)
    review = (await one.ask("GET", f"/api/jobs/{job.id}/review")).json()
    assert review["obstacle"]["code"] == "withdrawn"
    path = f"/api/jobs/{job.id}/decisions"
    refused = await one.ask("POST", path, json=decision(review), headers=key())
    assert (refused.status_code, refused.json()["obstacle"]) == (409, "withdrawn")
    rejected = decision(review, verdict="reject", rejection="wrong patient or view")
    assert (await one.ask("POST", path, json=rejected, headers=key())).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "maybe"},
        {"verdict": None},
        {"base_version": "0"},
        {"base_version": True},
        {"seconds": 9},
        {"seconds": {"total": "9"}},
        {"seconds": {"total": -1}},
        {"acceptability": 5},
        {"acceptability": 1.5},
        {"rejection": "bad luck"},
        {"reason": 3},
        {"amends": 3},
        {"content": []},
        {"content": {"sentences": [{"id": "f1"}]}},
        {"verdict": "edit"},
    ],
)
async def test_a_body_that_is_no_decision_is_400_with_a_sentence(browser, job, changes):
    """Nothing is recorded."""
    one = browser(ROENTGEN)
    review = (await one.ask("GET", f"/api/jobs/{job.id}/review")).json()
    path = f"/api/jobs/{job.id}/decisions"
    refused = await one.ask("POST", path, json=decision(review, **changes), headers=key())
    assert (refused.status_code, bool(refused.json()["error"])) == (400, True)
    assert (await one.ask("GET", path)).json() == {"decisions": []}


async def test_no_decision_without_a_login(browser, job):
    """Text, decision, undo, open and notices need a person."""
    anonymous = browser(None)
    for method, path, headers in (
        ("PUT", f"/api/jobs/{job.id}/review", {"If-Match": '"0"'}),
        ("POST", f"/api/jobs/{job.id}/decisions", key()),
        ("POST", f"/api/jobs/{job.id}/open", {}),
        ("POST", "/api/decisions/0/undo", {}),
        ("POST", "/api/decisions/0/send", {}),
        ("GET", "/api/notices", {}),
        ("POST", "/api/notices/1/seen", {}),
    ):
        answer = await anonymous.ask(method, path, json={}, headers=headers)
        assert answer.status_code == 401, path


async def test_who_has_it_open_is_reported(browser, job):
    """Until the page closes it."""
    one, two = browser(ROENTGEN), browser(CURIE)
    path = f"/api/jobs/{job.id}/open"
    await one.ask("POST", path, json={})
    seen = (await two.ask("POST", path, json={})).json()["open"]
    assert {each["name"] for each in seen} == {"Wilhelm Röntgen", "Marie Curie"}
    left = (await one.ask("POST", path, json={"open": False})).json()["open"]
    assert [each["name"] for each in left] == ["Marie Curie"]


async def test_decisions_are_listed_by_period_person_and_page(app, browser, reviewing):
    """`next` leads through all of them."""
    for number in range(3):
        job = reviewing.drafted(app.store, study=f"1.2.9{number}")
        app.store.decide(
            job.id,
            reviewing.request(),
            reviewing.roentgen,
            key=f"key-{number}",
            digest="d",
            audit=reviewing.audit,
        )
    one = browser(CURIE)
    first = (await one.ask("GET", "/api/decisions?limit=2")).json()
    rest = (await one.ask("GET", f"/api/decisions?limit=2&before={first['next']}")).json()
    assert [len(first["decisions"]), len(rest["decisions"]), rest["next"]] == [2, 1, None]
    assert (await one.ask("GET", "/api/decisions?reader=u2")).json()["decisions"] == []
    assert (await one.ask("GET", "/api/decisions?since=2100-01-01")).json()["decisions"] == []
    for query in ("limit=0", "since=yesterday"):
        assert (await one.ask("GET", f"/api/decisions?{query}")).status_code == 400


async def test_figures_of_readers_are_private(app, browser, cookie_of, reviewing):
    """By finding all decisions count; by reader a radiologist gets the own ones, an admin all."""
    cookie = cookie_of(app.store, Role.RADIOLOGIST, login="roentgen", display_name="W Röntgen")
    one = Browser(make_app(app.here), cookie)
    for number, study in enumerate(("1.2.81", "1.2.82")):
        job = reviewing.drafted(app.store, study=study)
        if number:
            review = (await one.ask("GET", f"/api/jobs/{job.id}/review")).json()
            path = f"/api/jobs/{job.id}/decisions"
            await one.ask("POST", path, json=decision(review), headers=key())
        else:
            curie = reviewing.curie
            app.store.decide(
                job.id, reviewing.request(), curie, key="key-9", digest="d", audit=reviewing.audit
            )
    figures = (await one.ask("GET", "/api/decisions/figures")).json()
    assert figures["groups"][0]["acceptable"]["n"] == 2
    assert figures["published"]["acceptable"] == 0.727
    by_finding = (await one.ask("GET", "/api/decisions/figures?by=finding")).json()["groups"]
    assert [each["name"] for each in by_finding] == [
        "cardiomegaly",
        "pleural effusion",
        "pneumothorax",
    ]
    assert (await one.ask("GET", "/api/decisions/figures?by=moon")).status_code == 400
    today = app.store.now().astimezone().date()
    path, tomorrow = "/api/decisions/figures", today + timedelta(days=1)
    for period, count in {
        f"from={today}&to={today}": 2,
        f"since={today}": 2,
        f"from={tomorrow}": 0,
        f"to={today}T00:00": 0,
        f"until={today}": 0,
    }.items():
        groups = (await one.ask("GET", f"{path}?{period}")).json()["groups"]
        assert sum(each["n"] for each in groups) == count, period
    assert (await one.ask("GET", f"{path}?to=soon")).status_code == 400
    by_reader = "/api/decisions/figures?by=reader"
    own = (await one.ask("GET", by_reader)).json()["groups"]
    assert [each["name"] for each in own] == ["W Röntgen"]
    everyone = (await browser(CURIE).ask("GET", by_reader)).json()["groups"]
    assert [each["name"] for each in everyone] == ["Marie Curie", "W Röntgen"]
