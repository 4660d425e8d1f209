"""The warnings about a text."""

import pytest

from dicom.content.report import Doubt
from workers.labeller.sentences import sentences
from workers.labeller.text_warnings import contradictions, doubtful, warnings


def warned(text, **rest):
    """The warnings of a text."""
    return warnings(sentences(text), **rest)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Small left pleural effusion. No pleural effusion.", "pleural effusion"),
        ("There is a right pneumothorax. No pneumothorax is seen.", "pneumothorax"),
        ("Bilateral effusions. No left effusion.", "pleural effusion"),
        ("The heart is enlarged. Heart size is normal.", "cardiomegaly"),
        ("Left basilar opacity. The lungs are clear.", "lung opacity"),
    ],
)
def test_a_contradiction_is_named(text, name):
    """The same finding present and absent in one place is reported with its name."""
    assert [one.value for one in contradictions(sentences(text))] == [name]
    assert any(name in note and "contradicts" in note for note in warned(text))


@pytest.mark.parametrize(
    "text",
    [
        "Small left pleural effusion. No right pleural effusion.",
        "Left effusion. No large effusion.",
        "Right lower lobe atelectasis. No atelectasis in the upper lobe.",
        "Possible left effusion. No effusion.",
        "No pneumothorax. No effusion. Heart size is normal.",
        "Left basilar opacity. The lungs are otherwise clear.",
        "",
    ],
)
def test_what_is_no_contradiction_is_left_alone(text):
    """Other sides, other places, other sizes and doubt do not contradict."""
    assert contradictions(sentences(text)) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A 1.5 cm nodule.", "measurement"),
        ("Effusion of 3 x 4 cm.", "measurement"),
        ("Discussed with Dr. Smith.", "people"),
        ("Findings were telephoned to the ward.", "people"),
        ("Film of 03/04/2011.", "date"),
        ("Seen at 10:45 pm.", "date"),
        ("Compared to ___.", "blanks"),
        ("Xxxx opacity.", "blanks"),
        ("A 55-year-old man.", "age or history"),
        ("Effusion is unchanged.", "earlier image"),
        ("Normal chest. Large right pneumothorax.", "calls the image normal"),
    ],
)
def test_what_a_model_cannot_know_is_marked(text, expected):
    """Measurements, people, times, blanks, the patient's history, earlier images: one sentence each."""
    assert any(expected in note for note in warned(text))


def test_an_ordinary_text_has_no_warning():
    """Nothing is reported about a text that keeps to the image."""
    text = (
        "The heart is enlarged. Small left effusion in the lower zone. No pneumothorax. Two leads."
    )
    assert warned(text) == ()


def test_a_model_that_was_configured_may_repeat_it():
    """A history is no invention if the model got the indication."""
    assert warned("A 55-year-old man with a history of cancer.", indication_given=True) == ()


def test_doubtful_sentences_are_named_with_their_doubt():
    """Both sides of a contradiction, a normal image beside a finding, and references to a prior."""
    lines = (
        "There is a left pleural effusion.",
        "The heart is not enlarged.",
        "No pleural effusion.",
        "The tube is unchanged.",
    )
    found = [(each.sentence, each.doubt) for each in doubtful(lines)]
    assert found == [
        (lines[0], Doubt.CONTRADICTED),
        (lines[2], Doubt.CONTRADICTED),
        (lines[3], Doubt.COMPARES),
    ]
    normal = ("Normal chest radiograph.", "There is a left pleural effusion.")
    assert [each.sentence for each in doubtful(normal)] == [normal[0]]
    assert doubtful(("The heart is not enlarged.",)) == ()
