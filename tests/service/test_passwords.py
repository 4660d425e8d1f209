"""Hashes of passwords."""

import time

from service.passwords import hash_password, is_outdated, verify_password

PASSWORD = "three different words"  # noqa: S105 - of this test


def test_a_password_has_its_hash_and_no_other():
    """Two hashes of it differ by their salt."""
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(first, PASSWORD)
    assert not verify_password(first, PASSWORD + " ")
    assert not is_outdated(first)


def test_an_unknown_name_takes_as_long():
    """A hash is computed though there is none to compare with; damaged ones are no match."""
    begun = time.process_time()
    assert not verify_password("", PASSWORD)
    unknown = time.process_time() - begun
    begun = time.process_time()
    hash_password(PASSWORD)
    assert unknown > (time.process_time() - begun) / 5
    assert not verify_password("damaged", PASSWORD)


def test_other_parameters_are_outdated():
    """The hash is renewed at the next login."""
    assert is_outdated(
        "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzYWx0$GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo"
    )
