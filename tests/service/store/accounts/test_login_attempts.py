"""Failed logins: limits by name and address, and no account is locked."""

from datetime import timedelta


def failures(store, count, *, name="kim", address="10.0.0.1"):
    """Begin logins that fail; return the last answer."""
    return [store.begin_login(name, address) for _ in range(count)][-1]


def test_five_failures_of_a_name_from_one_address(store, clock):
    """The sixth waits until the first of them is five minutes old."""
    assert failures(store, 5) == 0
    assert store.begin_login("kim", "10.0.0.1") == 301
    assert store.begin_login("kim", "10.0.0.2") == 0
    assert store.begin_login("lee", "10.0.0.1") == 0
    clock.move(301)
    assert store.begin_login("kim", "10.0.0.1") == 0


def test_a_success_forgets_the_failures_from_its_address(store):
    """Those of other addresses stay."""
    failures(store, 5)
    failures(store, 5, address="10.0.0.2")
    store.login_succeeded("kim", "10.0.0.1")
    assert store.begin_login("kim", "10.0.0.1") == 0
    assert store.begin_login("kim", "10.0.0.2") > 0


def test_a_name_that_is_attacked_has_one_try_from_each_address(store):
    """Twenty failures in an hour from many addresses; the person can still log in."""
    for number in range(20):
        store.begin_login("kim", f"10.0.1.{number}")
    assert store.begin_login("kim", "10.0.0.9") == 0
    assert store.begin_login("kim", "10.0.0.9") > 0


def test_one_address_has_a_hundred_tries_an_hour(store, clock):
    """For any names."""
    for number in range(100):
        assert store.begin_login(f"name{number}", "10.0.0.1") == 0
    assert store.begin_login("another", "10.0.0.1") == 3601
    clock.move(timedelta(hours=1, seconds=1).total_seconds())
    assert store.begin_login("another", "10.0.0.1") == 0
