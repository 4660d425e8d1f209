"""Sentences of a draft: their ids, their findings, and why they must be answered."""

from dataclasses import replace

import pytest

from dicom.content.report import Agreement, Finding, Observation, Presence
from service.review.draft_sentences import draft_sentences, identified_findings, urgent_findings
from service.review.words import MustAnswer


def answers_due(draft):
    """Return why each sentence must be answered, by id, without those that need not be."""
    found = {each.id: each.must_answer for each in draft_sentences(draft)}
    return {key: reasons for key, reasons in found.items() if reasons}


def test_each_sentence_has_an_id_and_the_findings_that_it_states(reviewing):
    """Ids count within their section; a finding belongs to the sentence that states it."""
    sentences = draft_sentences(reviewing.draft())
    assert [each.id for each in sentences] == ["f1", "f2", "f3", "f4", "i1"]
    assert [each.findings for each in sentences] == [
        ("cardiomegaly",),
        ("pleural-effusion",),
        ("pneumothorax",),
        (),
        (),
    ]


def test_a_sentence_must_be_answered_for_each_of_its_reasons(reviewing):
    """Unsure, contradicted by the score or by the text, urgent, and compared with an earlier image."""
    assert answers_due(reviewing.draft()) == {
        "f2": (MustAnswer.UNSURE,),
        "f3": (MustAnswer.CONTRADICTED, MustAnswer.URGENT),
        "f4": (MustAnswer.COMPARES,),
        "i1": (MustAnswer.CONTRADICTED,),
    }


@pytest.mark.parametrize(
    ("finding", "reasons"),
    [
        ({"presence": Presence.PRESENT}, ()),
        ({"presence": Presence.UNCERTAIN}, (MustAnswer.UNSURE,)),
        (
            {"presence": Presence.PRESENT, "agreement": Agreement(same=3, samples=8)},
            (MustAnswer.UNSURE,),
        ),
        ({"presence": Presence.PRESENT, "agreement": Agreement(same=4, samples=8)}, ()),
        ({"presence": Presence.ABSENT, "agreement": Agreement(same=1, samples=8)}, ()),
        ({"presence": Presence.PRESENT, "score": 0.49}, (MustAnswer.CONTRADICTED,)),
        ({"presence": Presence.PRESENT, "score": 0.5}, ()),
        ({"presence": Presence.ABSENT, "score": 0.5}, (MustAnswer.CONTRADICTED,)),
        ({"presence": Presence.UNCERTAIN, "score": 0.9}, (MustAnswer.UNSURE,)),
    ],
)
def test_a_finding_makes_its_sentence_unsure_or_contradicted(reviewing, finding, reasons):
    """The share of agreeing samples and the score count, each up to one half."""
    only = Finding(observation=Observation.EDEMA, sentence=reviewing.heart, **finding)
    draft = reviewing.draft(
        findings_text=(reviewing.heart,), impression_text=(), findings=(only,), doubts=()
    )
    assert answers_due(draft) == ({"f1": reasons} if reasons else {})


def test_every_sentence_of_an_older_draft_with_notes_must_be_answered(reviewing):
    """Such a draft does not state which sentence its notes refer to."""
    draft = reviewing.draft(findings=(), doubts=None, notes=("The text contradicts itself.",))
    assert set(answers_due(draft)) == {"f1", "f2", "f3", "f4", "i1"}
    assert answers_due(replace(draft, notes=())) == {}


def test_findings_of_one_name_get_ids_of_their_own(reviewing):
    """The second one is numbered."""
    twice = Finding(observation=Observation.LUNG_LESION, presence=Presence.PRESENT)
    draft = reviewing.draft(findings=(twice, twice))
    assert [each.id for each in identified_findings(draft)] == ["lung-lesion", "lung-lesion-2"]


def test_an_absent_pneumothorax_is_not_urgent(reviewing):
    """Only a present or uncertain one is."""
    (urgent,) = urgent_findings(reviewing.draft())
    assert urgent.observation is Observation.PNEUMOTHORAX
    absent = replace(urgent, presence=Presence.ABSENT)
    assert urgent_findings(reviewing.draft(findings=(absent,))) == ()
