"""Scripts with the password of the settings, the security headers, and requests without TLS."""

import time

import httpx
import pytest

from service.web.access.headers import SECURITY_HEADERS


@pytest.fixture
def guarded(make_site):
    """The application with a password for scripts."""
    return make_site(web={"port": 0, "username": "ann", "password": "péss:word"})


def test_the_password_opens_the_api_and_the_metrics_and_no_page(guarded):
    """Scripts use it as before; people have accounts."""
    for path, status in (("/api/jobs", 200), ("/metrics", 200), ("/", 401), ("/live/queue", 401)):
        answer = guarded.get(path, auth=("ann", "péss:word"), as_="")
        assert (path, answer.status_code) == (path, status)


@pytest.mark.parametrize(
    "authorization", ["Basic", "Basic ====", "Bearer x", "Basic YW5uOng=", "Basic \xff"]
)
def test_a_wrong_or_broken_authorization_is_401_also_beside_a_session(guarded, authorization):
    """Wrong passwords and malformed headers are refused; the cookie is not read instead."""
    headers = {"Authorization": authorization.encode("latin-1")}
    assert guarded.get("/api/jobs", headers=headers).status_code == 401


def test_without_a_password_in_the_settings_none_is_accepted(site):
    """An empty password is not a password."""
    assert site.get("/api/jobs", auth=("admin", ""), as_="").status_code == 401


def test_a_wrong_password_costs_time(guarded):
    """Guessing is slowed down."""
    began = time.monotonic()
    guarded.get("/api/jobs", auth=("ann", "wrong"), as_="")
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("host", ["localhost:8100", "[::1]:8100", "127.0.0.5"])
def test_loopback_names_are_served_without_tls(site, host):
    """Browsers on this machine need no TLS."""
    assert site.get("/", headers={"Host": host}).status_code == 200


def test_another_name_is_not_served_without_tls(site):
    """Neither a foreign name that resolves to loopback (DNS rebinding) nor a proxy unknown to us."""
    answer = site.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "web.tls_certificate" in answer.text
    assert site.get("/api/jobs", headers={"Host": "evil.example"}).status_code == 421
    assert site.get("/healthz", headers={"Host": "evil.example"}).status_code == 200


def test_plain_http_can_be_allowed(make_site):
    """Under another name the browser gets a cookie that it accepts there, and the page warns."""
    site = make_site(web={"port": 0, "plain_http": True})
    headers = {"Host": "wetread.example"}
    page = site.get("/login", headers=headers)
    assert "other computers on the network can read the password" in page.text
    form = {"name": "ann", "password": "correct horse battery"}
    answer = site.post("/login", data=form, headers=headers, as_="")
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("wetread=")
    assert "Secure" not in cookie
    assert "HttpOnly" in cookie
    sent = {**headers, "Cookie": cookie.partition(";")[0]}
    assert site.get("/", headers=sent).status_code == 200


def test_forwarded_headers_count_only_from_configured_proxies(make_site):
    """Address and scheme are accepted from a configured proxy, from no other."""
    forwarded = {
        "Host": "wetread.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "10.1.2.3",
    }
    assert make_site().get("/login", headers=forwarded).status_code == 421
    proxied = make_site(web={"port": 0, "trusted_proxies": ["127.0.0.0/8"]})
    page = proxied.get("/login", headers=forwarded)
    assert page.status_code == 200
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    form = {"name": "ann", "password": "correct horse battery"}
    answer = proxied.post("/login", data=form, headers=forwarded, as_="")
    assert answer.headers["set-cookie"].startswith("__Host-wetread=")
    assert "Secure" in answer.headers["set-cookie"]
    assert proxied.get("/login", headers={"Host": "wetread.example"}).status_code == 421


def test_every_answer_carries_the_security_headers(site):
    """Pages, refusals, errors, JSON and static files all carry them; no script may be inline."""
    paths = ("/", "/nowhere", "/api/jobs", "/static/wetread.js", "/healthz", "/login")
    answers = [site.get(path) for path in paths]
    for answer in [*answers, site.get("/", as_=""), site.get("/api/jobs", as_="")]:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
    assert answers[0].headers["cache-control"] == "no-store"
    assert answers[0].headers["vary"] == "Cookie"
    policy = answers[0].headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answers[0].text
    assert " style=" not in answers[0].text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://a.example"}, 303),
        ({"Origin": "http://a.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 303),
    ],
)
def test_another_site_cannot_log_in_nor_out_nor_act(site, headers, status):
    """By Fetch Metadata, else by Origin; also where no session is needed."""
    assert site.post("/logout", headers=headers).status_code == status
    form = {"name": "ann", "password": "correct horse battery"}
    assert site.post("/login", data=form, headers=headers, as_="").status_code == status


def test_a_form_of_our_own_page_is_accepted_by_its_origin(site):
    """Where a browser sends no Fetch Metadata, it sends the origin of the page."""
    form = {"name": "ann", "password": "correct horse battery"}
    origin = {"Origin": site.url.rstrip("/")}
    assert httpx.post(f"{site.url}login", data=form, headers=origin).status_code == 303
