"""The text under review: from a draft, from JSON, and its limits."""

import json

import pytest

from service.review.content import LONGEST_SENTENCE, MOST_SENTENCES, ReviewContent
from service.review.decision import InvalidReview
from service.review.draft_sentences import draft_sentences
from service.review.words import Section

BOX = [[0, 0], [5, 0], [5, 5], [0, 0]]


def sentence(identifier="f1", **changes):
    """Return a sentence as JSON."""
    return {"id": identifier, "section": "findings", "text": "Clear.", "answer": "", **changes}


def finding(**changes):
    """Return an added finding as JSON."""
    return {"verdict": "add", "observation": "edema", **changes}


def content(sentences=(), findings=()):
    """Return the content of JSON values."""
    return ReviewContent.from_json({"sentences": list(sentences), "findings": list(findings)})


def test_a_draft_comes_back_from_json(reviewing):
    """Nothing is answered yet."""
    made = ReviewContent.of_draft(draft_sentences(reviewing.draft()))
    assert ReviewContent.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made.lines(Section.IMPRESSION) == ("The lungs are clear.",)
    assert made.text.splitlines()[-1] == "The lungs are clear."


def test_texts_are_one_line():
    """An empty sentence is no line of the report."""
    found = content([sentence(text="two\nlines\x07"), sentence("f2", text="  ")])
    assert found.lines(Section.FINDINGS) == ("two lines",)


@pytest.mark.parametrize(
    ("sentences", "findings", "problem"),
    [
        ([sentence(text=5)], [], "text is not a string"),
        ([sentence(section="other")], [], "not a known value"),
        ([sentence(""), sentence("b")], [], "1 to 40 characters"),
        ([sentence(), sentence()], [], "an id occurs twice"),
        ([sentence(text="x" * (LONGEST_SENTENCE + 1))], [], "longer than 2000"),
        ([sentence(f"f{n}") for n in range(MOST_SENTENCES + 1)], [], "at most 200"),
        ([], [finding(id="x")], "added finding has no id"),
        ([], [{"verdict": "agree"}], "any other one has the id"),
        ([], [{"verdict": "add"}], "needs an observation or a text"),
        ([], [finding(region=BOX[:3])], "closed polygon"),
        ([], [finding(region=[*BOX[:3], [1, 1]])], "closed polygon"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(sentences, findings, problem):
    """With its place."""
    with pytest.raises(InvalidReview, match=problem):
        content(sentences, findings)


def test_an_added_finding_may_have_a_region():
    """Or only a text."""
    found = content([], [finding(region=BOX), {"verdict": "add", "text": "a nodule"}])
    assert found.findings[0].region == ((0, 0), (5, 0), (5, 5), (0, 0))
    assert found.findings[1].text == "a nodule"
