"""Rules for names, passwords and roles, and the state of accounts."""

from datetime import UTC, datetime, timedelta

import pytest

from service.accounts import (
    Account,
    AccountState,
    InvalidAccount,
    Person,
    Role,
    Session,
    SessionLimits,
    Source,
    added_detail,
    check_dicom_name,
    check_display_name,
    check_login,
    check_password,
    check_roles,
    digest_of,
    new_secret,
    reference_of,
)

AT = datetime(2026, 3, 1, tzinfo=UTC)
KIM = Person(id="0" * 32, login="kim", display_name="Kim J.", roles=frozenset({Role.VIEWER}))


def account(**changes):
    """Return a local account with a password, with changes."""
    values = {
        "person": KIM,
        "source": Source.LOCAL,
        "has_password": True,
        "break_glass": False,
        "created_at": AT,
        "created_by": "t",
        "disabled_at": None,
        "last_login_at": None,
    }
    return Account(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, AccountState.ACTIVE),
        ({"has_password": False}, AccountState.NO_PASSWORD),
        ({"has_password": False, "source": Source.OIDC}, AccountState.ACTIVE),
        ({"break_glass": True}, AccountState.BREAK_GLASS),
        ({"break_glass": True, "disabled_at": AT}, AccountState.DISABLED),
    ],
)
def test_whether_a_person_can_log_in(changes, state):
    """A provider's person has no password here."""
    assert account(**changes).state is state


def test_a_person_has_roles_and_a_label():
    """The display name with the login name."""
    assert KIM.has(Role.ADMIN, Role.VIEWER)
    assert not KIM.has(Role.ADMIN)
    assert KIM.label == "Kim J. (kim)"
    assert Person(id="1", login="kim", display_name="").label == "kim"


def test_a_session_has_two_limits():
    """Each is reached at its time."""
    limits = SessionLimits(idle=timedelta(minutes=30), absolute=timedelta(hours=10))
    session = Session(digest="", person=KIM, created_at=AT, seen_at=AT + timedelta(hours=9))
    assert not limits.is_over(session, AT + timedelta(hours=9, minutes=29))
    assert limits.is_over(session, AT + timedelta(hours=9, minutes=30))
    assert limits.is_over(session, AT + timedelta(hours=10))


def test_secrets_are_random_and_stored_as_digests():
    """SHA-256 of "abc" is that of FIPS 180-2."""
    token, digest = new_secret()
    assert digest == digest_of(token) != digest_of(new_secret()[0])
    assert digest_of("abc").startswith("ba7816bf8f01cfea414140de5dae2223")
    assert reference_of("a" * 64) == "a" * 16
    assert len(digest_of("\udcff")) == 64


@pytest.mark.parametrize("name", ["kim", " KIM ", "k.i_m-2@site", "7"])
def test_a_login_name_is_in_lower_case(name):
    """Without spaces around it."""
    assert check_login(name) == name.strip().lower()


@pytest.mark.parametrize("name", ["", ".kim", "kim lee", "kïm", "k" * 65])
def test_another_login_name_is_refused(name):
    """The message states the rule."""
    with pytest.raises(InvalidAccount, match="is not a login name"):
        check_login(name)


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("short", "too short"),
        ("x" * 2000, "longer than"),
        ("xxxxxxxxxxxxx", "one character repeated"),
        ("kimkimkimkim", "is the login name"),
        ("ä" * 513 + "x", "longer than 1024 bytes"),
    ],
)
def test_a_weak_password_is_refused(password, problem):
    """There is no other rule."""
    with pytest.raises(InvalidAccount, match=problem):
        check_password(password, "kim")
    assert check_password("three words here", "kim") == "three words here"


def test_names_for_pages_and_for_dicom():
    """Spaces are joined; a Person Name has at most five parts and no backslash (PS3.5 6.2.1)."""
    assert check_display_name("  Kim   J. ") == "Kim J."
    assert check_dicom_name("Kim^Jiyoung^^Dr") == "Kim^Jiyoung^^Dr"
    for bad in ("a\x00b", "x" * 65):
        with pytest.raises(InvalidAccount):
            check_display_name(bad)
    for bad in ("a\\b", "a^b^c^d^e^f", "x" * 65):
        with pytest.raises(InvalidAccount):
            check_dicom_name(bad)


def test_roles_by_their_names():
    """At least one, all known."""
    assert check_roles(["admin", "viewer", "admin"]) == {Role.ADMIN, Role.VIEWER}
    for bad in ([], ["boss"]):
        with pytest.raises(InvalidAccount, match="radiologist"):
            check_roles(bad)
    assert added_detail("kim", [Role.VIEWER, Role.ADMIN]) == "added kim: admin, viewer"
