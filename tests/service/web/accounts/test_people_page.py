"""`/people` and `/password/{link}`: an admin's management of accounts, over a real socket."""

import re
from datetime import timedelta

import pytest

from service.accounts import Role
from service.audit import AuditAction
from service.errors import StoreNotWritable
from service.store.audit.trail import AuditFilter

PHRASE = "correct horse battery"
OTHER = {"password": "another horse battery", "again": "another horse battery"}
KIM = {"login": "Kim", "display_name": "Dr. Kim", "dicom_name": "Kim^J", "role": ["radiologist"]}


def link_in(answer):
    """Return the path of the password link that a page shows."""
    assert answer.status_code == 200, answer.text
    return re.search(r'href="(?:\.\./|\./)*(password/[\w-]{43})"', answer.text)[1]


def log_in(site, name, password):
    """Return the Cookie header of a login by the form, "" if it is refused."""
    answer = site.post("/login", data={"name": name, "password": password}, as_="")
    return answer.headers.get("set-cookie", "").partition(";")[0]


def recorded(site):
    """Return action, actor and detail of the audit trail, the oldest first, without logins."""
    events = [record.event for record in reversed(site.store.audit_records(AuditFilter()))]
    return [
        (each.action, each.actor, each.detail)
        for each in events
        if each.action is not AuditAction.LOGIN
    ]


def test_an_account_is_added_and_its_person_sets_the_password(site):
    """The link is shown once, works once, and is recorded; no login is possible before."""
    made = site.post("/people", data=KIM)
    path = link_in(made)
    assert f"{site.url}{path}" in made.text
    assert path not in site.get("/people").text
    assert "no password yet" in site.get("/people").text
    assert not log_in(site, "kim", "")
    assert "Set the password of" in site.get(path, as_="").text
    for wrong, message in (
        ({"again": "other"}, "The two passwords differ"),
        ({"password": "short", "again": "short"}, "The password is too short"),
    ):
        answer = site.post(path, data={**OTHER, **wrong}, as_="")
        assert (answer.status_code, message in answer.text) == (400, True)
    assert "You can log in as kim now" in site.post(path, data=OTHER, as_="").text
    assert log_in(site, "kim", OTHER["password"])
    assert site.get(path, as_="").status_code == 404
    assert site.post(path, data=OTHER, as_="").status_code == 404
    account = site.store.account_of("kim")
    assert (account.person.roles, account.person.dicom_name) == ({Role.RADIOLOGIST}, "Kim^J")
    assert recorded(site) == [
        (AuditAction.CHANGED_ACCOUNT, "ann (web page)", "added kim: radiologist"),
        (AuditAction.CHANGED_ACCOUNT, "kim", "password of kim, by a link"),
    ]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"login": "no name"}, "is not a login name"),
        ({"login": "Ann"}, "There is an account ann already"),
        ({"role": []}, "Give at least one role"),
        ({"role": ["root"]}, "the roles are admin, radiologist, viewer"),
        ({"dicom_name": "a^b^c^d^e^f"}, "at most five parts"),
        ({"display_name": "x" * 65}, "at most 64 printable characters"),
    ],
)
def test_what_cannot_be_added_is_explained_and_kept_in_the_form(site, form, message):
    """Nothing is added."""
    answer = site.post("/people", data={**KIM, **form})
    assert answer.status_code == 400
    assert message in answer.text
    assert 'value="Dr. Kim"' in answer.text or "display_name" in form
    assert [each.person.login for each in site.store.accounts()] == ["ann"]
    assert recorded(site) == []


def test_a_forgotten_password_is_replaced_by_a_link(site, cookie_of):
    """It stays in force until the link is used; sessions end then; a newer link replaces an older."""
    kim = cookie_of(site.store, Role.VIEWER, login="kim")
    first = link_in(site.post("/people/kim/link"))
    second = link_in(site.post("/people/kim/link"))
    assert site.get(first, as_="").status_code == 404
    assert site.get("/account", as_=kim).status_code == 200
    assert log_in(site, "kim", PHRASE)
    assert site.post(second, data=OTHER, as_="").status_code == 200
    assert site.get("/account", as_=kim).status_code == 303
    assert (bool(log_in(site, "kim", PHRASE)), bool(log_in(site, "kim", OTHER["password"]))) == (
        False,
        True,
    )


@pytest.mark.parametrize("end", ["time", "disable", "password"])
def test_a_link_ends(site, cookie_of, end):
    """After a day, when the account is disabled, and when the password is set in another way."""
    cookie_of(site.store, Role.VIEWER, login="kim")
    path = link_in(site.post("/people/kim/link"))
    if end == "time":
        now = site.store.now()
        site.store._clock = lambda: now + timedelta(hours=24, seconds=1)
    elif end == "disable":
        site.post("/people/kim/disable")
        assert site.post("/people/kim/link").status_code == 400
        site.post("/people/kim/enable")
    else:
        site.store.set_password_hash("kim", "$argon2id$")
    assert site.get(path, as_="").status_code == 404
    assert site.post(path, data=OTHER, as_="").status_code == 404
    assert not log_in(site, "kim", OTHER["password"])


def test_roles_and_state_are_changed_and_recorded(site, cookie_of):
    """Sessions of the account end each time."""
    kim = cookie_of(site.store, Role.VIEWER, login="kim")
    answer = site.post("/people/kim/roles", data={"role": ["admin", "viewer"]})
    assert answer.headers["location"] == "../../people?changed=kim"
    assert "active; roles admin, viewer" in site.get("/people?changed=kim").text
    assert site.get("/account", as_=kim).status_code == 303
    kim = log_in(site, "kim", PHRASE)
    assert site.post("/people/kim/disable").status_code == 303
    assert site.get("/account", as_=kim).status_code == 303
    assert not log_in(site, "kim", PHRASE)
    assert site.post("/people/kim/enable").status_code == 303
    assert log_in(site, "kim", PHRASE)
    assert [(action, detail) for action, _, detail in recorded(site)] == [
        (AuditAction.CHANGED_ROLES, "kim: admin, viewer"),
        (AuditAction.CHANGED_ACCOUNT, "disabled kim"),
        (AuditAction.CHANGED_ACCOUNT, "enabled kim"),
    ]


def test_the_last_admin_stays(site, cookie_of):
    """One without a password, or disabled, does not count; with a second one, the first may go."""
    cookie_of(site.store, Role.ADMIN, login="off")
    assert site.post("/people/off/disable").status_code == 303
    site.post("/people", data={"login": "new", "role": ["admin"]})
    before = recorded(site)
    for path, data in (("disable", {}), ("roles", {"role": ["viewer"]})):
        answer = site.post(f"/people/ann/{path}", data=data)
        assert answer.status_code == 400
        assert "Ann is the last admin who can log in" in answer.text
    assert recorded(site) == before
    cookie_of(site.store, Role.ADMIN, login="second")
    assert site.post("/people/ann/disable").status_code == 303
    assert site.get("/people").status_code == 303


@pytest.mark.parametrize("path", ["people", "people/kim/link", "people/kim/disable"])
def test_what_cannot_be_audited_is_not_done(site, cookie_of, monkeypatch, path):
    """The record and the change are one transaction."""
    cookie_of(site.store, Role.VIEWER, login="kim")

    def full(*_given):
        raise StoreNotWritable("the disk of the database is full")

    with monkeypatch.context() as patched:
        patched.setattr(site.store, "_append_audit", full)
        assert site.post(path, data={**KIM, "login": "new"}).status_code == 503
    assert [each.person.login for each in site.store.accounts()] == ["ann", "kim"]
    assert log_in(site, "kim", PHRASE)


def test_another_site_changes_nothing(site, cookie_of):
    """Its form sends the cookie, and is refused because of its origin."""
    cookie_of(site.store, Role.VIEWER, login="kim")
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    paths = ("people", "people/kim/roles", "people/kim/link", "people/kim/disable", "tokens")
    for path in (*paths, "account/password"):
        assert site.post(path, data=KIM, headers=foreign).status_code == 403
    assert recorded(site) == []


def test_names_are_shown_as_text(site):
    """Markup in a name is not markup on the page."""
    link_in(site.post("/people", data={**KIM, "display_name": "<img src=x onerror=alert(1)>"}))
    page = site.get("/people?changed=kim").text
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_people_of_a_provider_are_administered_there(make_site):
    """Roles follow groups, passwords stay there; an account can be disabled here."""
    issuer = "https://login.example/realm"
    site = make_site(
        oidc={"issuer": issuer, "client_id": "wetread", "viewer_groups": ["x"]},
        web={"port": 0, "public_url": "https://wetread.example/wetread/"},
    )
    site.store.oidc_person(
        issuer, "s1", login="kim", display_name="Dr. Kim", roles=frozenset({Role.VIEWER})
    )
    page = site.get("/people").text
    assert "/kim/roles" not in page
    assert "/kim/link" not in page
    assert "/kim/disable" in page
    assert "an account is made at the first login" in page
    assert "kept there" in site.post("/people/kim/link").text
    made = site.post("/people/ann/link")
    assert f"https://wetread.example/wetread/{link_in(made)}" in made.text
