"""Login, logout, sessions, the throttle and the set-up link, over a real socket."""

from datetime import timedelta
from urllib.parse import urljoin

import httpx
import pytest
from argon2 import PasswordHasher

from service import passwords
from service.accounts import Role, SessionLimits, digest_of, new_secret
from service.passwords import hash_password, is_outdated

PHRASE = "correct horse battery"
GOOD = {"name": "ann", "password": PHRASE}
BAD = {"name": "ann", "password": "wrong horse battery"}


def cookie_in(answer: httpx.Response) -> str:
    """Return the Cookie header for the session that an answer gives."""
    return answer.headers["set-cookie"].partition(";")[0]


def log_in(site, form=GOOD, **options) -> httpx.Response:
    """Return the answer to a login by the form."""
    return site.post("/login", data=form, as_="", **options)


def test_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(site):
    """Host-bound, secure, HttpOnly, Lax; it opens the requested page."""
    asked = site.get("/studies/1.2.3?job=a", as_="")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "../login?next=/studies/1.2.3%3Fjob%3Da",
    )
    answer = log_in(site, {**GOOD, "next": "/studies/1.2.3?job=a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "./studies/1.2.3?job=a")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-wetread=")
    for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie
    assert "Max-Age" not in cookie
    page = site.get("/", as_=cookie_in(answer))
    assert page.status_code == 200
    assert "Ann Lee" in page.text


@pytest.mark.parametrize(
    "aim",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/../x"],
)
def test_login_never_leads_to_another_site(site, aim):
    """For any value of `next`."""
    answer = log_in(site, {**GOOD, "next": aim})
    assert urljoin(f"{site.url}login", answer.headers["location"]) == site.url
    assert "evil" not in site.get(f"/login?next={aim}", as_="").text


def test_a_page_s_script_logs_in_without_leaving_the_page(site):
    """JSON in place of a redirect, for a session that ended while a person was writing."""
    answer = log_in(site, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.json() == {"login": "ann", "roles": ["admin", "radiologist", "viewer"]}
    refused = log_in(site, BAD, headers={"Accept": "application/json"})
    assert refused.status_code == 401
    assert refused.json() == {"error": "The login name or the password is wrong."}


@pytest.mark.parametrize("form", [BAD, {**GOOD, "name": "bob"}, {"name": "ann"}, {}])
def test_a_wrong_login_states_the_same_whatever_was_wrong(site, form):
    """Neither whether the name exists nor the password is reported; no cookie is set."""
    answer = log_in(site, form)
    assert answer.status_code == 401
    assert "The login name or the password is wrong." in answer.text
    assert "set-cookie" not in answer.headers


def test_a_login_name_is_written_in_any_case(site):
    """`Ann ` is ann."""
    assert log_in(site, {**GOOD, "name": " Ann "}).status_code == 303


def test_an_unknown_name_takes_as_long_as_a_wrong_password(site, monkeypatch):
    """A hash is verified in each case."""
    verified = []
    plain = passwords.verify_password
    monkeypatch.setattr(
        passwords, "verify_password", lambda *given: verified.append(given[0]) or plain(*given)
    )
    log_in(site, BAD)
    log_in(site, {**GOOD, "name": "bob"})
    assert [bool(stored) for stored in verified] == [True, False]


def test_login_makes_a_new_session_and_ends_the_one_presented(site):
    """An attacker who planted a cookie (session fixation) gets nothing from the victim's login."""
    planted = "__Host-wetread=" + "A" * 43
    answer = site.post("/login", data=GOOD, as_=planted)
    assert cookie_in(answer) != planted
    assert site.get("/", as_=planted).status_code == 303
    again = site.post("/login", data=GOOD, as_=cookie_in(answer))
    assert site.get("/", as_=cookie_in(answer)).status_code == 303
    assert site.get("/", as_=cookie_in(again)).status_code == 200


def test_logout_ends_the_session_on_the_server(site):
    """The cookie is invalid afterwards, also in another browser."""
    cookie = cookie_in(log_in(site))
    answer = site.post("/logout", as_=cookie)
    assert answer.headers["location"] == "./login"
    assert all("Max-Age=0" in each for each in answer.headers.get_list("set-cookie"))
    assert site.get("/", as_=cookie).status_code == 303
    assert site.get("/api/jobs", as_=cookie).status_code == 401


def test_a_change_of_role_password_or_state_ends_the_sessions(site, cookie_of):
    """At once; other people stay logged in."""
    other = cookie_of(site.store, Role.ADMIN, login="eve")

    def changed(change) -> int:
        cookie = cookie_in(log_in(site))
        assert site.get("/", as_=cookie).status_code == 200
        change()
        return site.get("/", as_=cookie).status_code

    store = site.store
    assert changed(lambda: store.set_roles("ann", frozenset({Role.VIEWER}))) == 303
    assert changed(lambda: store.set_password_hash("ann", hash_password(PHRASE))) == 303
    assert changed(lambda: store.disable_person("ann")) == 303
    assert log_in(site).status_code == 401
    assert site.get("/account", as_=other).status_code == 200


def test_a_session_ends_when_idle_and_after_a_shift(make_site):
    """Idle time begins anew with a request of the person, not with the page's own requests."""
    site = make_site(web={"port": 0, "session_idle_minutes": 10, "session_hours": 1})
    store, session = site.store, digest_of(site.cookie.partition("=")[2])
    limits = SessionLimits(idle=timedelta(minutes=10), absolute=timedelta(hours=1))
    start = store.now()

    def at(minutes: float, *, touch: bool = True) -> bool:
        store._clock = lambda: start + timedelta(minutes=minutes)
        return store.session_of(session, limits, touch=touch) is not None

    assert at(9)
    assert at(18, touch=False)
    assert not at(20)
    assert [at(minute) for minute in (18, 27, 36, 45, 54)] == [True] * 5
    assert not at(60.5)
    store._clock = lambda: start
    assert site.get("/live/queue.json").status_code == 200


def test_five_failures_from_one_address_are_enough_and_lock_no_one_out(site):
    """The sixth is 429 with the time to wait; the same name from another address is admitted."""
    for _ in range(5):
        assert log_in(site, BAD).status_code == 401
    answer = log_in(site)
    assert answer.status_code == 429
    assert 200 < int(answer.headers["retry-after"]) <= 301
    assert "Too many failed logins" in answer.text
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as client:
        elsewhere = client.post(f"{site.url}login", data=GOOD)
    assert elsewhere.status_code == 303


def test_a_success_forgets_the_failures_before_it(site):
    """Four mistakes in the morning do not count at noon."""
    for _ in range(2):
        assert [log_in(site, BAD).status_code for _ in range(4)] == [401] * 4
        assert log_in(site).status_code == 303


def test_a_name_under_attack_has_one_try_from_each_address(site):
    """After twenty failures in an hour; the person who knows the password gets in at the first try."""
    store, name = site.store, digest_of("ann")
    for number in range(20):
        assert store.begin_login(name, f"10.0.0.{number}") == 0
    assert store.begin_login(name, "10.0.1.1") == 0
    assert store.begin_login(name, "10.0.1.1") > 200
    assert store.begin_login(digest_of("eve"), "10.0.1.1") == 0
    assert log_in(site).status_code == 303


def test_one_address_has_a_hundred_failures_an_hour(site):
    """Over all names."""
    waits = [site.store.begin_login(digest_of(f"n{n}"), "10.0.0.1") for n in range(101)]
    assert waits[:100] == [0] * 100
    assert 3000 < waits[100] <= 3601


def test_an_older_hash_is_renewed_at_the_login(site):
    """With the current parameters."""
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PHRASE)
    site.store.set_password_hash("ann", old)
    assert log_in(site).status_code == 303
    _, stored = site.store.credentials_of("ann")
    assert stored != old
    assert not is_outdated(stored)
    assert log_in(site).status_code == 303


def test_a_setup_link_makes_one_admin_once(make_site):
    """It is valid while there is no account, and for one use."""
    site = make_site(logged_in=False)
    assert "There is no account yet" in site.get("/login").text
    token, digest = new_secret()
    assert site.store.add_setup_link(digest, site.store.now() + timedelta(hours=1))
    path = f"/setup/{token}"
    assert "Make the first account" in site.get(path).text
    form = {"name": "root", "display_name": "Dr. Root", "password": PHRASE, "again": PHRASE}
    for wrong, message in (
        ({"again": "other horse battery"}, "The two passwords differ"),
        ({"password": "short", "again": "short"}, "The password is too short"),
        ({"name": "no name"}, "is not a login name"),
    ):
        answer = site.post(path, data={**form, **wrong})
        assert answer.status_code == 400
        assert message in answer.text
    made = site.post(path, data=form)
    assert (made.status_code, made.headers["location"]) == (303, "../")
    assert site.get("/", as_=cookie_in(made)).headers["location"] == "admin"
    (account,) = site.store.accounts()
    assert account.person.roles == {Role.ADMIN}
    assert site.get(path).status_code == 404
    assert site.post(path, data={**form, "name": "second"}).status_code == 404
    assert len(site.store.accounts()) == 1
    assert not site.store.add_setup_link(digest, site.store.now() + timedelta(hours=1))


def test_a_setup_link_expires(make_site):
    """An old link creates no account."""
    site = make_site(logged_in=False)
    token, digest = new_secret()
    site.store.add_setup_link(digest, site.store.now() - timedelta(seconds=1))
    form = {"name": "root", "display_name": "", "password": PHRASE, "again": PHRASE}
    assert site.post(f"/setup/{token}", data=form).status_code == 404
    assert site.store.accounts() == []


def test_who_is_logged_in_is_reported_as_json(site):
    """For scripts of pages."""
    answer = site.get("/api/me").json()
    assert (answer["login"], answer["display_name"]) == ("ann", "Ann Lee")
    assert answer["roles"] == ["admin", "radiologist", "viewer"]


def test_a_viewer_sees_no_form_of_an_action(site, seeder, cookie_of):
    """A refused login is not offered."""
    job = seeder.waiting(1)
    viewer = cookie_of(site.store, Role.VIEWER, login="vic")
    reader = cookie_of(site.store, Role.RADIOLOGIST, login="rae")
    path = f"/studies/{job.study_instance_uid}"
    assert "do-cancel" in site.get(path).text
    assert "do-" not in site.get(path, as_=viewer).text
    shown = site.get(path, as_=reader).text
    assert ("do-urgent" in shown, "do-cancel" in shown) == (True, False)
    assert "do-again" in site.get("/").text
    assert "do-again" not in site.get("/", as_=viewer).text
