"""Rules between keys, evaluated although some keys are wrong."""

from typing import ClassVar

import pytest
from pydantic import BaseModel

from service.settings.rules import (
    UNKNOWN,
    NotKnown,
    conflict,
    conflicts,
    lenient_table,
    lenient_value,
    tables,
)


def ordered(table):
    """Yield a conflict if the lower limit is above the upper one."""
    if table.low > table.high:
        yield conflict("low", "is above high", "high")


def always(_table):
    """Yield a conflict that names its keys itself."""
    yield conflict("", "one is needed", "low")


class Inner(BaseModel):
    """A table with two rules."""

    model_config: ClassVar = {"arbitrary_types_allowed": True}
    rules: ClassVar = (ordered, always)
    low: object
    high: object


class Outer(BaseModel):
    """A table with tables in it."""

    one: Inner
    several: tuple[Inner, ...] = ()


def test_conflicts_have_the_location_of_their_table():
    """Also in lists."""
    found = list(conflicts(Outer(one=Inner(low=1, high=2), several=(Inner(low=3, high=2),))))
    assert [each.keys for each in found] == [
        (("one", "low"),),
        (("several", 0, "low"), ("several", 0, "high")),
        (("several", 0, "low"),),
    ]
    assert found[1].subject == ("several", 0, "low")
    assert found[2].subject == ("several", 0)


def test_a_rule_that_needs_an_unknown_value_yields_nothing():
    """The other rules are evaluated."""
    (found,) = conflicts(Inner(low=UNKNOWN, high=2))
    assert found.message == "one is needed"


@pytest.mark.parametrize("use", [bool, str, len, list, lambda x: x < 1, lambda x: x.port])
def test_every_use_of_an_unknown_value_raises(use):
    """No rule uses it as a value."""
    with pytest.raises(NotKnown):
        use(UNKNOWN)


def test_tables_at_any_depth():
    """With their locations."""
    outer = Outer(one=Inner(low=1, high=2), several=(Inner(low=1, high=2),))
    assert [at for at, _ in tables(outer)] == [(), ("one",), ("several", 0)]


class Numbers(BaseModel):
    """A table of numbers."""

    port: int
    hosts: tuple[int, ...] = ()


def test_a_wrong_value_becomes_unknown():
    """In a list each wrong entry alone."""
    adapter = Numbers.__pydantic_validator__

    def hosts(value):
        return adapter.validate_python({"port": 1, "hosts": value}).hosts

    assert lenient_value((1, 2), hosts) == (1, 2)
    assert lenient_value(UNKNOWN, hosts) is UNKNOWN


def test_missing_and_misspelled_keys_are_unknown():
    """The given ones keep their values."""
    found = lenient_table(Numbers, {"prot": 1, "hosts": (1,)})
    assert found["hosts"] == (1,)
    assert found["port"] is UNKNOWN
    assert lenient_table(Numbers, 5) == 5
