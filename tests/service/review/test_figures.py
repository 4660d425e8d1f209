"""Figures of decisions, in groups, with hand-computed values."""

import time
from datetime import UTC, datetime

import pytest

from service.evaluation.clustered import counted_proportion
from service.evaluation.proportions import wilson
from service.evaluation.values import Undefined
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
    assert found.agreement == counted_proportion([1, 0, 1], [1, 1, 1])
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


def test_the_month_is_that_of_the_site(monkeypatch):
    """5 in the morning of 1 December in Seoul is November in UTC."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        evening = facts(at=datetime(2026, 11, 30, 20, tzinfo=UTC))
        assert [each.name for each in figures_by([evening], Grouping.MONTH)] == ["2026-12"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_findings_of_one_report_are_not_independent():
    """Six judgments that are equal within each report are as wide as one; one report has none."""
    names = [f"finding {number}" for number in range(6)]

    def decisions(each):
        words = [FindingVerdict.AGREE if n % 4 else FindingVerdict.DISAGREE for n in range(40)]
        return [facts(verdicts=dict.fromkeys(names[:each], word)) for word in words]

    (one,), (six,) = (figures_by(decisions(each), Grouping.ALL) for each in (1, 6))
    assert (one.agreement.n, six.agreement.n) == (40, 240)
    assert six.agreement.interval.low == pytest.approx(one.agreement.interval.low)
    assert six.agreement.interval.low < wilson(180, 240).interval.low - 0.05
    (alone,) = figures_by(decisions(6)[:1], Grouping.ALL)
    assert isinstance(alone.agreement.interval, Undefined)
