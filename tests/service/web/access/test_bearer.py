"""Bearer tokens on the JSON API: each scope opens what it names, and no more."""

from base64 import b64encode
from datetime import timedelta

import pytest
import structlog

from service.jobs import JobState
from service.tokens import Scope, mint


@pytest.fixture
def guarded(make_site):
    """The application with a password."""
    return make_site(web={"port": 0, "username": "ann", "password": "secret"})


@pytest.fixture
def bearer(guarded):
    """A function that returns the header of a new token with a scope."""

    def make(scope: Scope, *, lives: timedelta | None = None, name: str = "") -> dict[str, str]:
        value, credential = mint()
        guarded.store.add_token(
            credential,
            name=name or scope.value,
            scopes=frozenset({scope}),
            ae_title="MODALITY" if scope is Scope.STOW else "",
            expires_at=guarded.store.now() + lives if lives else None,
            actor="test",
        )
        return {"Authorization": f"Bearer {value}"}

    return make


def test_a_reading_token_reads_and_does_not_act(guarded, bearer, seeder_of):
    """GET is answered, POST is 403 that names the required scope."""
    job = seeder_of(guarded).waiting(1)
    header = bearer(Scope.READ)
    assert guarded.get("/api/jobs", headers=header).json()["jobs"][0]["id"] == job.id
    assert guarded.get("/metrics", headers=header).status_code == 200
    refused = guarded.post(f"/api/jobs/{job.id}/cancel", json={}, headers=header)
    assert refused.status_code == 403
    assert 'error="insufficient_scope", scope="admin"' in refused.headers["www-authenticate"]
    assert guarded.store.job(job.id).state is JobState.SCHEDULED


def test_an_admin_token_acts_under_its_own_name(guarded, bearer, seeder_of):
    """The job's history says which token canceled it."""
    job = seeder_of(guarded).waiting(1)
    header = bearer(Scope.ADMIN, name="night-shift")
    assert guarded.get("/api/jobs", headers=header).status_code == 200
    done = guarded.post(f"/api/jobs/{job.id}/cancel", json={"reason": "twice"}, headers=header)
    assert done.json()["state"] == "CANCELED"
    assert guarded.store.events(job.id)[-1].actor == "token night-shift"


def test_a_storing_token_opens_nothing_of_the_api(guarded, bearer):
    """A token that may store may not read stored data."""
    assert guarded.get("/api/jobs", headers=bearer(Scope.STOW)).status_code == 403


def test_no_token_opens_a_page(guarded, bearer):
    """Pages show patients: they require a login."""
    assert guarded.get("/", headers=bearer(Scope.ADMIN)).status_code == 401


@pytest.mark.parametrize("path", ["/api/nothing", "/api/jobs/none/nothing", "/nothing"])
def test_an_address_that_does_not_exist_is_404_for_a_valid_login(guarded, bearer, path):
    """For any token and the password of the settings; without a valid one it stays 401."""
    for method in ("GET", "POST"):
        for scope in Scope:
            header = bearer(scope, name=f"{scope}-{method}")
            answer = guarded.request(method, path, headers=header, as_="")
            assert answer.status_code == 404, (method, scope)
        basic = {"Authorization": "Basic " + b64encode(b"ann:secret").decode()}
        assert guarded.request(method, path, headers=basic, as_="").status_code == 404
        invalid = {"Authorization": f"Bearer {mint()[0]}"}
        answer = guarded.request(method, path, headers=invalid, as_="")
        assert (answer.status_code, "takes no token" in answer.text) == (401, False)
    page = guarded.get("/", headers=bearer(Scope.READ), as_="")
    assert (page.status_code, "takes no token" in page.text) == (401, True)


@pytest.mark.parametrize("state", ["expired", "revoked", "made up", "cut short", "not ASCII"])
def test_a_token_that_is_not_in_force_is_401(guarded, bearer, state):
    """The answer is the same for any fault of the token, and the log never has its value."""
    header = bearer(Scope.READ, lives=timedelta(seconds=-1) if state == "expired" else None)
    value = header["Authorization"]
    if state == "revoked":
        guarded.store.revoke_token("read", "test")
    elif state == "made up":
        value = value[:-2] + ("AA" if value[-2:] != "AA" else "BB")
    elif state == "cut short":
        value = value[:-1]
    elif state == "not ASCII":
        value = value[:-1] + "é"
    with structlog.testing.capture_logs() as lines:
        answer = guarded.get("/api/jobs", headers={"Authorization": value.encode("latin-1")})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert value.split("_", 2)[2] not in str(lines) + answer.text


def test_a_use_is_noted_once_a_minute(guarded, bearer):
    """`last_used_at` is set by the first request and left alone by the next."""
    header = bearer(Scope.READ)
    assert guarded.store.tokens()[0].last_used_at is None
    guarded.get("/api/jobs", headers=header)
    (first,) = guarded.store.tokens()
    guarded.get("/api/jobs", headers=header)
    assert guarded.store.tokens() == [first]
    assert first.last_used_at is not None


@pytest.mark.parametrize("state", ["expired", "revoked"])
def test_the_use_of_a_token_that_is_over_is_an_incident(guarded, bearer, state):
    """The page names the token and where it was used from, once an hour; never its secret."""
    lives = timedelta(seconds=-1) if state == "expired" else None
    header = bearer(Scope.READ, lives=lives, name="monitor")
    if state == "revoked":
        guarded.store.revoke_token("monitor", "test")
    for _ in range(2):
        assert guarded.get("/api/jobs", headers=header).status_code == 401
    (found,) = [each for each in guarded.store.incidents() if each.kind == "token_refused"]
    assert found.subject == "monitor"
    assert found.detail.startswith(f"It is {state} and was used from ")
    assert header["Authorization"].rsplit("_", 1)[1] not in found.detail


def test_an_unknown_token_is_no_incident(guarded):
    """Anyone can invent one: it is in the log only."""
    value, _ = mint()
    assert guarded.get("/api/jobs", headers={"Authorization": f"Bearer {value}"}).status_code == 401
    assert guarded.store.incidents() == []
