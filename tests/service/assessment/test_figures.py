"""The figures of an evaluation are those of scikit-learn, for statements and omissions of drafts."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from service.assessment.figures import figures
from service.evaluation.labels import FIVE, FOURTEEN, SIX, Label
from service.evaluation.values import Undefined


def binary(rows, side, findings=SIX):
    """Return 0 or 1 [n, f], 1 where the side says that the finding is present."""
    return np.array(
        [[int(getattr(row, side).get(name) is Label.POSITIVE) for name in findings] for row in rows]
    )


@pytest.mark.parametrize("seed", range(5))
def test_f1_sensitivity_and_auroc_equal_scikit_learn(rows_of, seed):
    """Of each finding, micro and macro."""
    rows = rows_of(seed)
    found = figures(rows, draws=20, seed=0)
    truth, predicted = binary(rows, "truth"), binary(rows, "predicted")
    assert found.together.micro.value == pytest.approx(f1_score(truth, predicted, average="micro"))
    assert found.together.macro_zero.value == pytest.approx(
        f1_score(truth, predicted, average="macro", zero_division=0)
    )
    assert found.sensitivity.value == pytest.approx(recall_score(truth, predicted, average="micro"))
    for column, name in enumerate(SIX):
        each = found.findings[name]
        assert each.f1.value == pytest.approx(f1_score(truth[:, column], predicted[:, column]))
        scores = [row.scores[name] for row in rows]
        assert each.scores.auroc.value == pytest.approx(roc_auc_score(truth[:, column], scores))


def test_a_draft_that_is_silent_counts_as_negative_and_an_unknown_truth_is_left_out(rows_of):
    """A missing statement of the draft counts; a missing truth does not."""
    rows = rows_of(1)
    silent = dataclasses.replace(rows[0], truth={"edema": Label.POSITIVE}, predicted={})
    hedged = dataclasses.replace(
        rows[1], truth={"edema": Label.POSITIVE}, predicted={"edema": Label.UNCERTAIN}
    )
    unknown = dataclasses.replace(rows[2], truth={}, predicted={"edema": Label.POSITIVE})
    found = figures([silent, hedged, unknown], draws=20, seed=0)
    counts = found.findings["edema"].counts
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == (0, 0, 2, 0)
    assert list(found.findings) == ["edema"]


def test_published_sets_need_every_finding_in_the_truth(rows_of):
    """F1-14 of a table with six columns would be an F1 of six findings."""
    six = figures(rows_of(1), draws=20, seed=0)
    assert sorted(six.published) == ["5", "6"]
    assert sorted(figures(rows_of(1, findings=FOURTEEN), draws=20, seed=0).published) == [
        "14", "5", "6",
    ]  # fmt: skip
    five = figures(rows_of(1, findings=FIVE), draws=20, seed=0)
    assert sorted(five.published) == ["5"]
    assert five.together_of == tuple(name for name in SIX if name in FIVE)


def test_small_numbers_are_reported_as_small(rows_of):
    """60 studies with 40 % positives have too few; 300 have enough."""
    assert set(figures(rows_of(1), draws=20, seed=0).too_few) == set(SIX)
    assert figures(rows_of(1, n=300), draws=20, seed=0).too_few == ()


def test_no_study_is_no_figure():
    """An evaluation without truth ends without an error."""
    found = figures([], draws=20, seed=0)
    assert found.studies == 0
    assert isinstance(found.together.micro.value, Undefined)
