"""How much a draft was changed."""

import json

import pytest

from service.review.edit_measure import TextEdits

DRAFT = "The heart is enlarged.\nThe lungs are clear."


def test_an_unchanged_text():
    """No distance, all sentences kept."""
    edits = TextEdits.between(DRAFT, DRAFT)
    assert (edits.distance, edits.share, edits.sentences, edits.kept) == (0, 0.0, 2, 2)


def test_one_word_that_was_added():
    """One of nine words; the other sentence is kept."""
    edits = TextEdits.between(DRAFT, DRAFT.replace("is enlarged", "is not enlarged"))
    assert (edits.distance, edits.kept) == (1, 1)
    assert edits.share == pytest.approx(1 / 9)
    changed = [each for each in edits.opcodes if "words" in each]
    assert any(word["after"].strip() == "not" for word in changed[0]["words"])
    assert json.dumps(edits.opcodes)


def test_two_empty_texts_have_no_share():
    """There is nothing to divide by."""
    assert TextEdits.between("", "").share is None
