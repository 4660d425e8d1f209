"""Suggestions for misspelled names."""

import pytest

from service.settings.nearest_name import choice, nearest_name, suggestion

NAMES = ("receiver", "reading", "reconcile", "retention_days")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("reciever", "receiver"),
        ("Reading", "reading"),
        ("retention", "retention_days"),
        ("zzz", None),
        ("", None),
    ],
)
def test_the_most_similar_name(given, expected):
    """None where no name is similar enough."""
    assert nearest_name(given, NAMES) == expected


def test_evidence_decides_between_similar_names():
    """As from the keys that a table has."""
    assert nearest_name("tls_ke", ("tls_key", "tls_kex")) == "tls_key"
    assert nearest_name("tls_ke", ("tls_key", "tls_kex"), {"tls_kex": 0.5}) == "tls_kex"


def test_suggestions_in_words():
    """The nearest, or all if they are few."""
    assert suggestion("reciever", NAMES) == "; did you mean `receiver`?"
    assert suggestion("zzz", ("a", "b")) == "; allowed are: a, b"
    assert suggestion("zzz", [str(number) for number in range(13)]) == ""
    assert choice("onn", ("on", "off")) == "; allowed are: on, off (did you mean 'on'?)"
    assert choice("zzz", ("on", "off")) == "; allowed are: on, off"
