"""Sentences with one full stop, and texts on one line."""

import pytest

from service.sentence import ended, one_line, sentence_of


@pytest.mark.parametrize(
    ("given", "expected"), [("It ended", "It ended."), ("It ended.", "It ended."), ("Why?", "Why?")]
)
def test_a_sentence_has_one_full_stop(given, expected):
    """None is added where one is."""
    assert ended(given) == expected


def test_the_message_of_an_error_keeps_the_case_of_names():
    """Only the first letter changes."""
    assert sentence_of(ValueError("the image of PACS-1 is gone")) == "The image of PACS-1 is gone."


def test_lines_are_joined():
    """Blank ones are left out; those after the first are a list."""
    assert one_line("Two faults:\n\n  first\n  second\n") == "Two faults: first; second"
    assert one_line("One.") == "One."
