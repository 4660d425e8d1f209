"""No study is lost without a reason."""

from types import SimpleNamespace

from service.assessment.flow import empty_drafts, flow, flow_as_text
from service.assessment.study_rows import Outcome


def row(outcome, reason="", words=5):
    """Return the part of a study's row that the flow uses."""
    return SimpleNamespace(outcome=outcome, reason=reason, word_count=words)


def test_each_step_has_those_that_left_and_why():
    """From received to scored."""
    scored = next(each for each in Outcome if each.name == "SCORED")
    rows = [
        row(Outcome.UNREADABLE, "UNREADABLE"),
        row(Outcome.REFUSED, "CHILD"),
        row(Outcome.REFUSED, "CHILD"),
        row(Outcome.FAILED, "PIXEL_ERROR"),
        row(Outcome.NO_TRUTH, "x"),
        row(scored),
        row(scored, words=0),
    ]
    steps = flow(rows)
    assert [(step.name, step.left) for step in steps[1:]] == [
        ("readable", (("UNREADABLE", 1),)),
        ("eligible", (("CHILD", 2),)),
        ("read", (("PIXEL_ERROR", 1),)),
        ("with truth, scored", (("no truth", 1),)),
    ]
    assert empty_drafts(rows) == 1
    texts = flow_as_text(steps, {"CHILD": "The patient is a child."})
    assert texts[2].left == (("The patient is a child.", 2),)
    assert texts[1].left == (("UNREADABLE", 1),)
