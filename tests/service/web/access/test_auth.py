import time

import pytest

from service.web.access.auth import SECURITY_HEADERS, FormTokens


@pytest.fixture
def guarded(make_site):
    """The application with a password."""
    return make_site(web={"port": 0, "username": "ann", "password": "péss:word"})


def test_without_the_password_nothing_but_the_probes_answers(guarded):
    """Pages, API, metrics and static files are 401; /healthz and /readyz are open."""
    for path in ("/", "/api/jobs", "/metrics", "/live/queue", "/static/wetread.css"):
        answer = guarded.get(path)
        assert (answer.status_code, "Basic" in answer.headers["www-authenticate"]) == (401, True)
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").status_code == 503


def test_the_password_opens_under_any_host_name(guarded):
    """With the right user name and password the page is there, whatever the page is called."""
    answer = guarded.get("/", auth=("ann", "péss:word"), headers={"Host": "wetread.example"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "authorization", ["Basic", "Basic ====", "Bearer x", "Basic YW5uOng=", "Basic \xff"]
)
def test_a_wrong_or_broken_authorization_is_401(guarded, authorization):
    """Wrong passwords and headers that are none are refused."""
    answer = guarded.get("/", headers={"Authorization": authorization.encode("latin-1")})
    assert answer.status_code == 401


def test_a_wrong_password_costs_time(guarded):
    """Guessing is slowed down, asking without any password is not."""
    began = time.monotonic()
    guarded.get("/", auth=("ann", "wrong"))
    assert time.monotonic() - began >= 0.5


def test_without_a_password_only_loopback_names_are_served(site):
    """A foreign host name that resolves to loopback (DNS rebinding) gets nothing."""
    assert site.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert site.get("/", headers={"Host": "localhost:8100"}).status_code == 200
    assert site.get("/", headers={"Host": "[::1]:8100"}).status_code == 200


def test_every_answer_carries_the_security_headers(site, guarded):
    """Pages, refusals, errors, JSON and static files all carry them; no script may be inline."""
    answers = [
        site.get(path) for path in ("/", "/nowhere", "/api/jobs", "/static/wetread.js", "/healthz")
    ]
    for answer in [*answers, guarded.get("/")]:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
    policy = answers[0].headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answers[0].text
    assert " style=" not in answers[0].text


def test_a_form_token_is_for_one_job_of_one_process():
    """Another job's token, and another process's, are not valid."""
    tokens = FormTokens()
    assert tokens.valid("a", tokens.issue("a"))
    assert not tokens.valid("a", tokens.issue("b"))
    assert not tokens.valid("a", FormTokens().issue("a"))
    assert not tokens.valid("a", "ü")
