"""Word distance and sentence alignment."""

import random

import pytest

from service.evaluation.edits import Edit, align, measure, sentences, word_distance, word_edits
from service.evaluation.values import Reason, Undefined


def by_table(first, second):
    """Levenshtein's distance by the quadratic table."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def test_the_distance_is_that_of_the_table():
    """1,000 random pairs up to 90 words, longer than a machine word, empty ones among them."""
    chance = random.Random(1)
    for _ in range(1000):
        first = chance.choices("abcd", k=chance.randint(0, 90))
        second = chance.choices("abcde", k=chance.randint(0, 90))
        if chance.random() < 0.3:
            second = [word for word in first if chance.random() < 0.9]
        assert word_distance(first, second) == by_table(first, second)


def test_sentences_end_before_a_capital_letter_or_at_a_line_end():
    """No end within a number, nor before a small letter."""
    assert sentences("Nodule of 1.5 cm. No effusion.\nImpression: vs. normal? Yes.\n\n") == [
        "Nodule of 1.5 cm.", "No effusion.", "Impression: vs. normal?", "Yes.",
    ]  # fmt: skip


def test_an_edit_is_shown_sentence_by_sentence():
    """Kept, changed in a word, removed, added."""
    edits = align(
        "Heart size is normal. No pneumothorax. Bones are intact.",
        "Heart size is enlarged. No pneumothorax. Small left effusion.",
    )
    assert [(edit.edit, edit.before, edit.after) for edit in edits] == [
        (Edit.REPLACE, "Heart size is normal.", "Heart size is enlarged."),
        (Edit.EQUAL, "No pneumothorax.", "No pneumothorax."),
        (Edit.DELETE, "Bones are intact.", ""),
        (Edit.INSERT, "", "Small left effusion."),
    ]
    assert [(word.edit, word.before, word.after) for word in edits[0].word_edits] == [
        (Edit.EQUAL, ("Heart", "size", "is"), ("Heart", "size", "is")),
        (Edit.REPLACE, ("normal.",), ("enlarged.",)),
    ]


def test_an_alignment_restores_both_texts():
    """200 random edits: nothing lost, nothing invented, in order."""
    chance = random.Random(3)
    for _ in range(200):
        before = [
            f"{chance.choice('ABC')} {' '.join(chance.choices('abcdef', k=4))}."
            for _ in range(chance.randint(0, 7))
        ]
        after = [s.replace("a", "z") for s in before if chance.random() < 0.7]
        after += ["New words."] * chance.randint(0, 2)
        edits = align(" ".join(before), " ".join(after))
        assert [e.before for e in edits if e.before] == before
        assert [e.after for e in edits if e.after] == after
        for edit in edits:
            if edit.edit is Edit.REPLACE:
                assert [w for run in edit.word_edits for w in run.before] == edit.before.split()
                assert [w for run in edit.word_edits for w in run.after] == edit.after.split()


def test_the_measures_of_a_changed_draft():
    """One of six words replaced, one of two sentences kept."""
    found = measure("Heart size is normal. No effusion.", "Heart size is large. No effusion.")
    assert (found.distance, found.ratio) == (1, pytest.approx(1 / 6))
    assert (found.sentences, found.kept, found.kept_share) == (2, 1, 0.5)


def test_line_breaks_are_no_edit():
    """Neither in words nor in sentences."""
    found = measure("Heart normal. No effusion.", "Heart normal.\n\n  No effusion.\n")
    assert (found.distance, found.kept) == (0, 2)


def test_empty_texts():
    """Both empty: no ratio; one empty: all changed."""
    nothing = measure("", " ")
    assert nothing.ratio == nothing.kept_share == Undefined(Reason.NO_CASES)
    assert measure("", "Lungs clear.").ratio == 1.0
    assert measure("Lungs clear.", "").kept_share == 0.0
    assert align("", "") == []


def test_runs_of_words_cover_both_sides():
    """Also for long texts with one frequent word."""
    before, after = ["the"] * 300 + ["end"], ["the"] * 299 + ["last", "end"]
    assert [run.edit for run in word_edits(before, after)] == [
        Edit.EQUAL, Edit.REPLACE, Edit.EQUAL,
    ]  # fmt: skip
