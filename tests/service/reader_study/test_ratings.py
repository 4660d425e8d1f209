"""The entries of a reader: every field is checked, and a repeated judgment is recognized."""

import pytest

from service.reader_study.errors import InvalidReaderStudy
from service.reader_study.ratings import RatingEntry, author_of

BODY = {
    "rating": "B",
    "errors": [{"start": 0, "end": 5, "type": "A", "significant": True}],
    "edited": "Clear.",
    "image_seconds": 3.25,
    "text_seconds": 8,
}


def test_a_rating_is_the_same_after_json_and_at_another_time():
    """The times do not belong to the judgment: a repeated request counts as the same."""
    entry = RatingEntry.from_json(BODY, length=10)
    assert RatingEntry.from_json(entry.to_json(), length=10) == entry
    later = RatingEntry.from_json({**BODY, "text_seconds": 9}, length=10)
    assert later.digest == entry.digest
    assert RatingEntry.from_json({**BODY, "rating": "C"}, length=10).digest != entry.digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rating": "E"}, "rating: one of A, B, C, D"),
        ({"rating": None}, "rating"),
        ({"errors": "none"}, "errors: a list"),
        (
            {"errors": [{"start": 0, "end": 11, "type": "A", "significant": True}]},
            "between 0 and 10",
        ),
        ({"errors": [{"start": True, "end": 1, "type": "A", "significant": True}]}, "between"),
        ({"errors": [{"start": 0, "end": 1, "type": "G", "significant": True}]}, "type is one of"),
        ({"errors": [{"start": 0, "end": 1, "type": "A", "significant": 1}]}, "true or false"),
        ({"errors": [3]}, "objects"),
        ({"edited": "x" * 8001}, "edited: a text"),
        ({"image_seconds": -1}, "image_seconds"),
        ({"image_seconds": float("nan")}, "image_seconds"),
        ({"text_seconds": "5"}, "text_seconds"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(change, words):
    """Nothing is guessed or cut."""
    with pytest.raises(InvalidReaderStudy, match=words):
        RatingEntry.from_json({**BODY, **change}, length=10)


def test_a_guess_is_one_of_three_words():
    """Software, radiologist, or cannot tell."""
    assert author_of({"author": "cannot tell"}).value == "cannot tell"
    with pytest.raises(InvalidReaderStudy, match="author: one of"):
        author_of({"author": "me"})
