"""Texts in one form: the layout of a draft and of a dictated report cannot be distinguished."""

import pytest

from service.reader_study.normalizer import Telltale, normalized, telltales

DRAFT = "The heart is enlarged.\nNo pleural effusion.\nCardiomegaly."
DICTATED = """INDICATION: cough.
COMPARISON: none.
FINDINGS: The heart is  enlarged.\r
No pleural effusion.\r
IMPRESSION: (1) Cardiomegaly.

Electronically signed by: R. Roe, MD"""
MARKED = """UNVERIFIED AI DRAFT - NOT FOR PRIMARY DIAGNOSIS.
The heart is
enlarged. No pleural effusion. Cardiomegaly.
Notes:
The text and the scores disagree."""
SAME = [
    "FINDINGS:\nThe heart is enlarged. No pleural effusion.\n\nIMPRESSION:\n1. Cardiomegaly.",
    "Findings: - the heart is enlarged\n- no pleural effusion\nImpression: - Cardiomegaly",
    DICTATED,
    "**Findings**\n* The heart is enlarged.\n* No pleural effusion.\n**Impression**\n* Cardiomegaly.",
    MARKED,
    "THE HEART IS ENLARGED. No pleural effusion. Cardiomegaly. The heart is enlarged.",
    DRAFT,
]


@pytest.mark.parametrize("text", SAME)
def test_equal_statements_become_equal_texts(text):
    """Headings, marks, numbers, breaks, history, signature, warning and repetition are gone."""
    assert normalized(text) == DRAFT


def test_words_and_measures_are_not_changed():
    """Decimals, units, ranges and questions stay; a full stop is added only where there is none."""
    text = (
        "Nodule of 1.5 cm in the left lobe. Fracture of ribs 4-5? \u201cTree in bud\u201d pattern"
    )
    assert normalized(text) == (
        'Nodule of 1.5 cm in the left lobe.\nFracture of ribs 4-5?\n"Tree in bud" pattern.'
    )
    assert normalized(normalized(text)) == normalized(text)


def test_statements_after_a_section_that_is_left_out_stay():
    """A list of notes at the end goes, text after an empty line does not."""
    assert normalized("Findings: Clear lungs.\nTechnique: AP.\n\nNormal heart.") == (
        "Clear lungs.\nNormal heart."
    )
    assert normalized("Comparison: none.") == ""
    assert normalized("") == ""


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Comparison: None. Large heart. No effusion.", "Large heart.\nNo effusion."),
        ("Findings: A mass. Comparison: none.\nLarge heart.\n\nImpression: A mass.",
         "A mass.\nLarge heart."),
        ("Technique: AP.\n\nLarge heart.\nImpression: Edema.", "Large heart.\nEdema."),
        ("History:\n\nCough.\n\nFindings: Edema.", "Edema."),
        ("Impression: Edema.\nNote: a nodule needs CT.", "Edema.\nA nodule needs CT."),
        ("The tube was reported by phone. Edema.", "The tube was reported by phone.\nEdema."),
        ("Edema. Reported by: R. Roe", "Edema."),
        ("Unverified AI draft.\nEdema.\nNotes: The image is rotated. Its mark is missing.", "Edema."),
    ],
)  # fmt: skip
def test_no_statement_about_the_image_is_left_out(text, kept):
    """A report that loses a finding here would be rated worse than it is."""
    assert normalized(text) == kept


def test_what_words_may_show_is_named():
    """Marks of removed names, comparisons and persons stay in the text and are reported."""
    assert telltales("Compared to XXXX, no change.") == {Telltale.DEIDENTIFIED, Telltale.COMPARES}
    assert telltales("Dr. Roe was notified.") == {Telltale.PERSON}
    assert telltales("The lungs are clear.") == frozenset()
