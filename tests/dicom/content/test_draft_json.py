"""A stored record is decoded by its type hints; a value of the wrong type is an error with its path."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import pytest

from dicom.content.draft_json import decoded
from dicom.errors import UnreadableDraft


class Color(StrEnum):
    """Two words."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    """A nested record."""

    size: int


@dataclass(frozen=True)
class Record:
    """One field of each kind."""

    name: str
    color: Color = Color.RED
    at: datetime | None = None
    score: float | None = None
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    pair: tuple[float, float] = (0.0, 0.0)
    timings: dict[str, float] = field(default_factory=dict)


FULL = {
    "name": "a",
    "color": "blue",
    "at": "2026-03-01T09:00:00+00:00",
    "score": 0.5,
    "inner": {"size": 3},
    "several": [{"size": 1}, {"size": 2}],
    "pair": [1, 2.5],
    "timings": {"model": 12},
}


def test_every_kind_of_field_is_decoded():
    """Strings become enums, text becomes time, lists become tuples, objects become records."""
    assert decoded(Record, FULL) == Record(
        name="a",
        color=Color.BLUE,
        at=datetime(2026, 3, 1, 9, tzinfo=UTC),
        score=0.5,
        inner=Inner(3),
        several=(Inner(1), Inner(2)),
        pair=(1, 2.5),
        timings={"model": 12},
    )


def test_defaults_apply_and_unknown_fields_are_ignored():
    """A newer version may have added a field."""
    found = decoded(Record, {"name": "a", "added": 1, "inner": {"size": 1, "added": 2}})
    assert found == Record(name="a", inner=Inner(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "draft.name is not a string"),
        ({"color": "green"}, "draft.color is not a known value"),
        ({"at": "yesterday"}, "draft.at is not a time"),
        ({"at": "2026-03-01T09:00:00"}, "draft.at has no time zone"),
        ({"score": True}, "draft.score is not a number"),
        ({"score": float("nan")}, "draft.score is not a number"),
        ({"inner": {"size": 1.5}}, "draft.inner.size is not an integer"),
        ({"inner": {}}, "draft.inner.size is missing"),
        ({"inner": []}, "draft.inner is not an object"),
        ({"several": "ab"}, "draft.several is not a list"),
        ({"pair": [1]}, "draft.pair does not hold 2 values"),
        ({"timings": []}, "draft.timings is not an object"),
        ({"timings": {"model": "1"}}, "draft.timings is not a number"),
    ],
)
def test_what_is_not_of_its_type_is_named(change, message):
    """The message has the path and never the value."""
    with pytest.raises(UnreadableDraft) as caught:
        decoded(Record, {**FULL, **change})
    assert str(caught.value) == message


def test_what_is_no_object_is_refused():
    """A list, a text or nothing."""
    for given in ([], "text", None):
        with pytest.raises(UnreadableDraft, match="draft is not an object"):
            decoded(Record, given)
