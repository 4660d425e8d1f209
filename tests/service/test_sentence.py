"""Sentences with one full stop, and texts on one line."""

import pytest

from service.sentence import about, ended, one_line, sentence_of


@pytest.mark.parametrize(
    ("given", "expected"), [("It ended", "It ended."), ("It ended.", "It ended."), ("Why?", "Why?")]
)
def test_a_sentence_has_one_full_stop(given, expected):
    """None is added where one is."""
    assert ended(given) == expected


def test_a_text_names_what_it_is_about_once():
    """The messages of destinations begin with their name, other texts do not."""
    assert about("pacs", "every object is there.") == "pacs: every object is there."
    assert about("pacs", "pacs (DICOMweb) is silent") == "pacs (DICOMweb) is silent"
    assert about("pacs", "pacs-2 is silent") == "pacs: pacs-2 is silent"


def test_the_message_of_an_error_keeps_the_case_of_names():
    """Only the first letter changes."""
    assert sentence_of(ValueError("the image of PACS-1 is gone")) == "The image of PACS-1 is gone."


def test_lines_are_joined():
    """Blank ones are left out; those after the first are a list."""
    assert one_line("Two faults:\n\n  first\n  second\n") == "Two faults: first; second"
    assert one_line("One.") == "One."
