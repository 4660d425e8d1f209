"""Scores beside the text: the questions, the shared prefix, and the notes for the reader."""

import math

import pytest
import torch

from dicom.content.report import CODED_OBSERVATIONS, Observation
from workers.labeller.findings import label
from workers.model import preprocess, prompts
from workers.model.networks.multimodal import Passage
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.reading.content.scores import ASKED, QUESTIONS, disagreements, scored


@torch.inference_mode()
def alone(model, image, question):
    """The chance of yes, from two whole sequences of their own."""
    pixels = model.pixel_values(preprocess.gray_image(image))
    images = model.network.image_tokens(torch.from_numpy(pixels))
    prompt = prompts.render(prompts.chat(Task.QUESTION, question))
    start = len(prompts.prompt_ids(model.tokenizer, prompt)) - 1 + images.shape[1]
    weights = []
    for word in (" Yes", " No"):
        ids = prompts.prompt_ids(model.tokenizer, prompt + word)
        embeds = model.network.splice(ids, images)
        logits = Passage(model.network, slots=len(embeds)).read(embeds, every=True)
        chances = logits.log_softmax(-1)
        answered = ids[start - images.shape[1] + 1 :]
        weights.append(sum(chances[start - 1 + n, i].item() for n, i in enumerate(answered)))
    return 1 / (1 + math.exp(weights[1] - weights[0]))


def test_shared_questions_equal_each_asked_alone(model, image):
    """One prefix, one ragged batch: the same chances as fourteen sequences of their own."""
    together = model.chances(image, QUESTIONS)
    assert together == pytest.approx([alone(model, image, one) for one in QUESTIONS], abs=1e-5)
    assert len(set(together)) == len(QUESTIONS)


def test_asking_beside_a_report_changes_neither(model, image):
    """The questions branch off the report's own prefix and leave its text as it was."""
    decoding = Decoding(max_new_tokens=10)
    plain = model.answer(image, Task.REPORT, decoding=decoding)
    asked = model.answer(image, Task.REPORT, questions=QUESTIONS, decoding=decoding)
    assert asked.token_ids == plain.token_ids
    assert asked.chances == pytest.approx(model.chances(image, QUESTIONS), abs=1e-5)
    assert plain.chances == ()


def test_the_questions_are_those_that_were_trained():
    """One question for each of the six and one for the whole image, in one order."""
    assert (*CODED_OBSERVATIONS, Observation.NO_FINDING) == ASKED
    assert QUESTIONS[1] == "Is there cardiomegaly?"
    assert QUESTIONS[-1] == "Is this chest radiograph normal?"


def test_each_score_stands_with_its_finding():
    """The seven that were asked about have a score, the others none."""
    findings = scored(label("No pneumothorax."), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
    by_name = {finding.observation: finding.score for finding in findings}
    assert by_name[Observation.PNEUMOTHORAX] == 0.6
    assert by_name[Observation.NO_FINDING] == 0.7
    assert by_name[Observation.FRACTURE] is None
    assert scored(label("x"), ()) == label("x")


@pytest.mark.parametrize(
    ("text", "chance", "expected"),
    [
        ("No pneumothorax.", 0.8, "absent, the score is 80 %"),
        ("Right pneumothorax.", 0.1, "present, the score is 10 %"),
        ("The heart is enlarged.", 0.9, "does not mention it"),
        ("Right pneumothorax.", 0.9, None),
        ("No pneumothorax.", 0.2, None),
        ("Possible pneumothorax.", 0.9, None),
    ],
)
def test_disagreement_is_reported(text, chance, expected):
    """Present under half, absent or not mentioned over half: a note; doubt agrees with both."""
    chances = [
        1.0 if "heart" in text and name is Observation.CARDIOMEGALY else 0.0 for name in ASKED
    ]
    chances[ASKED.index(Observation.PNEUMOTHORAX)] = chance
    notes = disagreements(scored(label(text), chances))
    about = [note for note in notes if "pneumothorax" in note]
    assert bool(about) == (expected is not None)
    assert expected is None or expected in about[0]


def test_normal_against_abnormal_is_compared_too():
    """A normal text of an image that the model calls abnormal, and the other way about, are reported."""
    low, high = (0.0,) * 6 + (0.1,), (0.0,) * 6 + (0.9,)
    assert "nothing abnormal" in disagreements(scored(label("No pneumothorax."), low))[0]
    assert "a finding" in disagreements(scored(label("Rib fracture."), high))[0]
    assert disagreements(scored(label("No pneumothorax."), high)) == ()
    assert disagreements(scored(label("Nothing."), low)) == ()
