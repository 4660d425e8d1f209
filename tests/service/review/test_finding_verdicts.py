"""The verdict on each finding that a decision shows."""

from service.review.finding_verdicts import OTHER, finding_verdicts
from service.review.words import FindingVerdict

AGREE, DISAGREE, ADD = FindingVerdict.AGREE, FindingVerdict.DISAGREE, FindingVerdict.ADD


def verdicts(reviewing, *, makes_report=True, **given):
    """Return the verdicts on the draft of the tests."""
    draft = reviewing.draft()
    content = reviewing.content(draft, **given)
    return finding_verdicts(draft, content, makes_report=makes_report)


def test_agreed_and_unchanged_sentences_agree(reviewing):
    """Each stated finding."""
    found = verdicts(reviewing)
    assert found["cardiomegaly"] is AGREE
    assert "edema" not in found


def test_an_answer_against_a_sentence_is_against_its_finding(reviewing):
    """Whether a report is made or not."""
    assert verdicts(reviewing, answers={"f1": "disagree"})["cardiomegaly"] is DISAGREE
    rejected = verdicts(reviewing, answers={"f1": "disagree"}, makes_report=False)
    assert rejected == {"cardiomegaly": DISAGREE}


def test_a_changed_sentence_without_an_answer_shows_nothing(reviewing):
    """The wording may have been the reason."""
    found = verdicts(reviewing, answers={}, texts={"f1": "The heart is large."})
    assert "cardiomegaly" not in found
    assert found["pleural effusion"] is AGREE


def test_added_findings_are_named_or_other(reviewing):
    """As a finding that is none of the known ones."""
    added = [
        {"verdict": "add", "observation": "edema"},
        {"verdict": "add", "text": "a nodule"},
    ]
    found = verdicts(reviewing, findings=added)
    assert (found["edema"], found[OTHER]) == (ADD, ADD)
