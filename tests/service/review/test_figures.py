"""Figures of decisions, in groups, with hand-computed values."""

from datetime import UTC, datetime

import pytest

from service.evaluation.proportions import wilson
from service.review.figures import DecisionFacts, Grouping, figures_by, figures_json
from service.review.finding_verdicts import finding_verdicts
from service.review.words import Acceptability, FindingVerdict, Rejection, Verdict


def facts(**changes):
    """Return the facts of an accepted draft that states an effusion."""
    values = {
        "at": datetime(2026, 3, 1, 9, tzinfo=UTC),
        "reader": "Marie Curie",
        "device": "CR1",
        "model": "Tiny 1",
        "verdict": Verdict.ACCEPT,
        "rejection": None,
        "acceptability": Acceptability.NO_REVISION,
        "distance": 0,
        "share": 0.0,
        "sentences": 4,
        "kept": 4,
        "seconds": 10.0,
        "positive": ("pleural effusion",),
        "verdicts": {"pleural effusion": FindingVerdict.AGREE},
    }
    return DecisionFacts(**{**values, **changes})


DECISIONS = [
    facts(),
    facts(
        verdict=Verdict.EDIT,
        acceptability=Acceptability.MINOR_REVISION,
        distance=3,
        share=0.1,
        kept=3,
        seconds=20.0,
        verdicts={"pleural effusion": FindingVerdict.DISAGREE, "fracture": FindingVerdict.ADD},
    ),
    facts(
        verdict=Verdict.EDIT,
        acceptability=Acceptability.MAJOR_REVISION,
        distance=9,
        share=0.5,
        kept=1,
        seconds=40.0,
        at=datetime(2026, 4, 2, tzinfo=UTC),
        reader="Wilhelm Röntgen",
        device="CR2",
        positive=("pneumothorax", "pleural effusion"),
        verdicts={"pneumothorax": FindingVerdict.AGREE},
    ),
    facts(
        verdict=Verdict.REJECT,
        rejection=Rejection.WRONG_SIDE,
        acceptability=None,
        distance=0,
        kept=0,
        seconds=5.0,
        positive=(),
        verdicts={},
    ),
]


def test_all_decisions_together():
    """Two of three rated are acceptable; texts count for reports only."""
    (found,) = figures_by(DECISIONS, Grouping.ALL)
    assert (found.name, found.n) == ("all", 4)
    assert found.verdicts == {"accept": 1, "edit": 2, "reject": 1}
    assert found.steps == {1: 1, 2: 1, 3: 1, 4: 0}
    assert found.acceptable == wilson(2, 3)
    assert found.unchanged == wilson(1, 4)
    assert found.agreement == wilson(2, 3)
    assert found.added == 1
    assert found.kept_sentences == pytest.approx(8 / 12)
    assert (found.median_distance, found.median_share) == (3.0, 0.1)
    assert found.median_seconds == 15.0
    assert found.rejections["wrong side"] == 1
    assert sum(found.rejections.values()) == 1


def test_a_finding_counts_where_the_draft_states_it():
    """Agreement is about this finding only."""
    effusion, pneumothorax = figures_by(DECISIONS, Grouping.FINDING)
    assert (effusion.name, effusion.n) == ("pleural effusion", 3)
    assert effusion.agreement == wilson(1, 2)
    assert (pneumothorax.name, pneumothorax.n) == ("pneumothorax", 1)
    assert pneumothorax.acceptable == wilson(0, 1)


@pytest.mark.parametrize(
    ("grouping", "names"),
    [
        (Grouping.READER, ["Marie Curie", "Wilhelm Röntgen"]),
        (Grouping.DEVICE, ["CR1", "CR2"]),
        (Grouping.MODEL, ["Tiny 1"]),
        (Grouping.MONTH, ["2026-03", "2026-04"]),
    ],
)
def test_groups_have_their_names(grouping, names):
    """Each decision is in one group."""
    found = figures_by(DECISIONS, grouping)
    assert [each.name for each in found] == names
    assert sum(each.n for each in found) == 4


def test_a_group_without_ratings_has_no_figure_and_no_zero():
    """Null, not 0, in the JSON."""
    (found,) = figures_by(DECISIONS[3:], Grouping.ALL)
    plain = figures_json(found)
    assert plain["acceptable"] == {"value": None, "interval": None, "n": 0}
    assert (plain["kept_sentences"], plain["median_distance"]) == (None, None)
    assert figures_by([], Grouping.ALL) == []


def test_verdicts_come_from_the_finding_then_the_answer_then_the_kept_sentence(reviewing):
    """A changed sentence without an answer counts for nothing."""
    draft = reviewing.draft()

    def found(*, makes_report=True, **content):
        return finding_verdicts(draft, reviewing.content(**content), makes_report=makes_report)

    kept = found(answers={"f3": "disagree"}, texts={"f1": "Normal heart."})
    assert kept == {
        "pleural effusion": FindingVerdict.AGREE,
        "pneumothorax": FindingVerdict.DISAGREE,
    }
    given = [{"verdict": "disagree", "id": "cardiomegaly"}, {"verdict": "add", "text": "rib"}]
    assert found(makes_report=False, answers={"f2": "agree"}, findings=given) == {
        "cardiomegaly": FindingVerdict.DISAGREE,
        "pleural effusion": FindingVerdict.AGREE,
        "other": FindingVerdict.ADD,
    }
