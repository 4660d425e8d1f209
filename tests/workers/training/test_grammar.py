"""The grammar states the truth, in varied wording."""

import numpy as np
import pytest

from dicom.content.report import CODED_OBSERVATIONS, Observation, Presence, Side
from dicom.phantom import PhantomFinding
from workers.labeller.findings import label
from workers.model.prompts import IS_NORMAL, IS_THERE
from workers.training import grammar, questions
from workers.training.images import plan

IMAGES = 400
EFFUSION = PhantomFinding(
    observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT, extent=0.9, zone=None
)


@pytest.fixture(scope="module")
def written():
    """Findings of images and a report on each."""
    plans = [plan(seed) for seed in range(IMAGES)]
    rng = np.random.default_rng(0)
    return [(one.findings, grammar.report(one.findings, rng)) for one in plans]


def test_reports_are_labelled_as_they_are_meant(written):
    """Every report mentions all six, and its labels are the truth."""
    for findings, text in written:
        truth = {finding.observation for finding in findings}
        presences = {one.observation: one.presence for one in label(text)}
        for name in CODED_OBSERVATIONS:
            assert presences[name] is (Presence.PRESENT if name in truth else Presence.ABSENT), text


def test_sides_are_read_back(written):
    """The labelled side is the one that was drawn."""
    for findings, text in written:
        sides = {one.observation: one.side for one in label(text)}
        for finding in findings:
            if finding.observation not in {Observation.CARDIOMEGALY, Observation.EDEMA}:
                assert sides[finding.observation] is finding.side, text


def test_nothing_else_is_claimed(written):
    """No device, fracture or mass is invented."""
    for _, text in written:
        for one in label(text):
            if one.observation not in (
                *CODED_OBSERVATIONS,
                Observation.NO_FINDING,
                Observation.LUNG_OPACITY,
            ):
                assert one.presence is Presence.NOT_MENTIONED, text


def test_words_vary(written):
    """Two hundred reports of normal images are not all alike, and there are many kinds of reports."""
    normal = {text for findings, text in written if not findings}
    assert len(normal) > 30
    assert len({text for _, text in written}) > 0.75 * IMAGES


def test_extent_chooses_the_word():
    """A gross effusion is called large, a slight one small."""
    assert grammar.phrase(EFFUSION) == "large left pleural effusion"
    slight = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.BILATERAL, extent=0.1)
    assert grammar.phrase(slight) == "small bilateral pneumothoraces"


def test_a_normal_image_has_no_differential():
    """Nothing is explained where nothing was found, and each finding is where it was."""
    rng = np.random.default_rng(0)
    assert "normal" in grammar.differential((), rng)
    assert "pleural effusion" in grammar.differential((EFFUSION,), rng)


def test_answers_begin_with_yes_or_no_as_it_is():
    """The first word decides, for each of the six and for a normal image."""
    rng = np.random.default_rng(0)
    for name in CODED_OBSERVATIONS:
        expected = "Yes" if name is Observation.PLEURAL_EFFUSION else "No"
        assert questions.is_there((EFFUSION,), name, rng).answer.split(",")[0] == expected
    assert questions.is_normal((EFFUSION,), rng).answer.startswith("No")
    assert questions.is_normal((), rng).answer.startswith("Yes")


def test_most_questions_have_the_wording_of_the_reader():
    """The exact questions that scores are taken from are the commonest."""
    rng = np.random.default_rng(0)
    asked = [questions.is_there((), Observation.EDEMA, rng).question for _ in range(100)]
    assert asked.count(IS_THERE["edema"]) > 60
    normal = [questions.is_normal((), rng).question for _ in range(100)]
    assert normal.count(IS_NORMAL) > 60


def test_side_questions_are_answered_truly():
    """Asked for a side, the answer names the side that was drawn."""
    rng = np.random.default_rng(1)
    for _ in range(40):
        one = questions.which_side((EFFUSION,), rng)
        if one.question.endswith("on the right?"):
            assert one.answer.startswith("No")
        assert "left" in one.answer
