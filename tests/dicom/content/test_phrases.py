"""The sentences that all results share."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from dicom.content import phrases
from dicom.content.report import Agreement, Finding, NotRead, Observation, Presence, Side

EDEMA = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT, score=0.873)


@pytest.fixture
def draft(image_header, make_draft):
    """A function that returns a draft with changes."""
    return lambda **changes: make_draft(image_header(), **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Edema: present; model score 87 %, not calibrated."),
        ({"score": None, "presence": Presence.ABSENT}, "Edema: absent."),
        (
            {"score": None, "side": Side.LEFT, "site": "lower lobe"},
            "Edema (left, lower lobe): present.",
        ),
        ({"observation": Observation.NO_FINDING}, "The draft describes no abnormal finding."),
    ],
)
def test_a_finding_as_a_sentence(changes, sentence):
    """Name, place, presence, score."""
    assert phrases.statement(replace(EDEMA, **changes)) == sentence


@pytest.mark.parametrize(("score", "text"), [(0.0, 1), (0.004, 1), (0.5, 50), (0.996, 99), (1, 99)])
def test_no_score_is_a_certainty(score, text):
    """1 to 99 percent."""
    assert phrases.percent(score) == text


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("PA", "posteroanterior (PA) view"),
        ("AP", "anteroposterior (AP) view"),
        ("", "the image does not state PA or AP"),
        (None, "the image does not state PA or AP"),
    ],
)
def test_the_view_is_stated_or_not(view, text):
    """As far as the image states it."""
    header = Dataset()
    if view is not None:
        header.ViewPosition = view
    assert text in phrases.procedure(header)


def test_the_label_of_an_outline():
    """A question mark for doubt; a note where one half only is outlined."""
    assert phrases.outline_label(EDEMA, one_side=False) == "Edema 87 %"
    unsure = replace(EDEMA, presence=Presence.UNCERTAIN, score=None)
    assert phrases.outline_label(unsure, one_side=True) == "Edema?, BILATERAL: one side outlined"


def test_agreement_of_samples():
    """Or nothing where nothing was sampled."""
    assert phrases.agreement(replace(EDEMA, agreement=Agreement(same=3, samples=8))) == "3 of 8"
    assert phrases.agreement(EDEMA) == ""


def test_findings_are_listed_by_presence_with_the_missing_ones_of_the_six(draft):
    """Present, uncertain, absent, not mentioned."""
    listed = phrases.listed(draft())
    order = [Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT, Presence.NOT_MENTIONED]
    ranks = [order.index(each.presence) for each in listed]
    assert ranks == sorted(ranks)
    silent = {each.observation for each in listed if each.presence is Presence.NOT_MENTIONED}
    assert silent == {Observation.ATELECTASIS, Observation.EDEMA, Observation.PLEURAL_EFFUSION}
    text = phrases.not_mentioned(draft())
    assert "neither present nor absent: " in text
    assert text.endswith(phrases.NOT_MENTIONED_NOTE)


def test_a_draft_without_coded_findings(draft):
    """Only scored findings are listed; the text may mention any."""
    scored = replace(EDEMA, presence=Presence.NOT_CODED)
    uncoded = draft(findings=(scored,))
    assert not uncoded.is_coded
    assert [each.presence for each in phrases.listed(uncoded)] == [Presence.NOT_CODED]
    assert phrases.not_mentioned(uncoded) == phrases.NOT_CODED
    assert "No finding is coded" in phrases.uncoded(uncoded)
    assert phrases.uncoded(draft()) == ""


def test_warning_and_caveat(draft, equipment):
    """The caveat becomes a sentence; software, model and revision are named."""
    made = draft()
    made = replace(made, model=replace(made.model, caveat="made for adults only"))
    assert phrases.caveat(made) == "Made for adults only."
    text = phrases.warning(made, equipment)
    assert text.startswith("UNVERIFIED AI DRAFT - NOT FOR PRIMARY DIAGNOSIS.")
    assert "revision 1" in text
    assert text.endswith("Made for adults only.")


def test_remarks_are_sentences(draft):
    """Notes, and the reasons why other images were not read; blank notes are left out."""
    made = draft(
        notes=("The view is not stated", "  "),
        not_read=(NotRead(sop_instance_uid="1.2", reason="It is blank."),),
    )
    assert phrases.remarks(made) == [
        "Note: The view is not stated.",
        "Another image of this study was not read: It is blank.",
    ]


def test_the_meaning_of_scores(draft):
    """A model may give none."""
    made = draft()
    assert "not calibrated" in phrases.score_meaning(made)
    silent = replace(made, model=replace(made.model, cannot=(phrases.NO_SCORES,)))
    assert phrases.score_meaning(silent) == "The model gives no scores."


@pytest.mark.parametrize(
    ("presence", "observation", "expected"),
    [
        (Presence.PRESENT, Observation.EDEMA, True),
        (Presence.UNCERTAIN, Observation.EDEMA, True),
        (Presence.ABSENT, Observation.EDEMA, False),
        (Presence.PRESENT, Observation.NO_FINDING, False),
    ],
)
def test_positive_findings(presence, observation, expected):
    """The observation "no finding" is none."""
    finding = Finding(observation=observation, presence=presence)
    assert phrases.is_positive(finding) is expected
