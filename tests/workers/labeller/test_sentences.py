"""Sentences, sections, hygiene, and talk of earlier images."""

import pytest

from workers.labeller.sentences import (
    clean,
    compares_with_prior,
    sections,
    sentences,
    without_history_sections,
)


def test_sentences_end_at_stops_and_lines():
    """List numbers go, decimals stay whole, lines end sentences."""
    text = "1. Nodule of 1.5 cm. No effusion.\n2. Heart is normal\n- Clear lungs."
    assert sentences(text) == (
        "Nodule of 1.5 cm.", "No effusion.", "Heart is normal", "Clear lungs.",
    )  # fmt: skip


def test_list_numbers_of_two_digits_are_no_sentences():
    """A list of ten has ten sentences; a sentence that ends with a number stays whole."""
    text = "9. Clear lungs. 10. Normal heart. 11. No effusion over rib 10. No pneumothorax."
    assert sentences(text) == (
        "Clear lungs.", "Normal heart.", "No effusion over rib 10.", "No pneumothorax.",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", " \n\t", "...", "\ufffd\ufffd", "- \n. "])
def test_text_without_words_has_no_sentences(text):
    """White space, marks and broken characters are no sentence."""
    assert sentences(clean(text)) == ()


def test_control_characters_are_taken_out():
    """Escape codes, nulls, direction marks and broken characters never reach a draft."""
    dirty = "Heart\x00 is\x1b[31m large\u202e.\ufffd\r\nClear\tlungs."
    assert clean(dirty) == "Heart is [31m large . \n\nClear lungs."


def test_headings_separate_findings_from_impression():
    """Text after an impression heading is impression; everything else is findings."""
    text = "FINDINGS: Clear lungs. No effusion.\nIMPRESSION: 1. Normal chest."
    assert sections(text) == (("Clear lungs.", "No effusion."), ("Normal chest.",))
    assert sections("Clear lungs.") == (("Clear lungs.",), ())
    assert sections("Before. Impression: After.") == (("Before.",), ("After.",))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("HISTORY: Pneumothorax. FINDINGS: Clear lungs.", "FINDINGS: Clear lungs."),
        (
            "Chest.\nIndication: Cough.\nTechnique: AP.\nImpression: Normal.",
            "Chest.\n\nImpression: Normal.",
        ),
        ("COMPARISON: None. The heart is enlarged.", "COMPARISON: None. The heart is enlarged."),
        ("FINDINGS: Clear. HISTORY: of smoking.", "FINDINGS: Clear. HISTORY: of smoking."),
        ("The heart is enlarged.", "The heart is enlarged."),
    ],
)
def test_what_was_asked_is_no_reading(text, left):
    """Indication, history and technique are removed if a heading shows their end; nothing else is."""
    assert without_history_sections(text).strip() == left


@pytest.mark.parametrize(
    ("line", "compares"),
    [
        ("Unchanged left effusion.", True),
        ("Compared to the prior study, the edema has improved.", True),
        ("Interval development of consolidation.", True),
        ("Stable cardiomegaly.", True),
        ("There is a small left effusion.", False),
        ("The heart is enlarged.", False),
    ],
)
def test_talk_of_earlier_images_is_noticed(line, compares):
    """Words that only make sense beside a prior image are recognized."""
    assert compares_with_prior([line]) is compares
