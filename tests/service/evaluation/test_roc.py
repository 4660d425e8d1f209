"""AUROC with DeLong's variance against known figures and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as expected_curve

from service.evaluation.roc import auroc, compare_aurocs, roc_curve
from service.evaluation.values import EvaluationInputError, Interval, Reason, Undefined

TRUTH = [1] * 5 + [0] * 7
FIRST = [0.9, 0.8, 0.7, 0.55, 0.3, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2, 0.1]
SECOND = [0.8, 0.6, 0.75, 0.4, 0.35, 0.7, 0.45, 0.5, 0.3, 0.25, 0.2, 0.15]


def test_known_figures_of_one_model():
    """Example A of the guide; the plain interval would reach 1.108."""
    area = auroc(TRUTH, FIRST)
    assert (f"{area.value:.4f}", f"{area.standard_error:.4f}") == ("0.8429", "0.1353")
    assert (f"{area.interval.low:.4f}", f"{area.interval.high:.4f}") == ("0.4202", "0.9754")
    assert f"{area.value + 1.96 * area.standard_error:.3f}" == "1.108"
    assert (area.positives, area.negatives) == (5, 7)


def test_known_figures_of_two_models():
    """Example A of the guide: z .4147, p .6784."""
    assert f"{auroc(TRUTH, SECOND).value:.4f}" == "0.8000"
    result = compare_aurocs(TRUTH, FIRST, SECOND)
    assert f"{result.difference:.4f}" == "0.0429"
    assert (f"{result.z:.4f}", f"{result.p:.4f}") == ("0.4147", "0.6784")
    turned = compare_aurocs(TRUTH, SECOND, FIRST)
    assert (turned.z, turned.p) == pytest.approx((-result.z, result.p))


def random_case(generator):
    """Both classes at least twice; ties where few digits are kept."""
    n = int(generator.integers(4, 80))
    truth = generator.integers(0, 2, n)
    truth[:4] = [0, 0, 1, 1]
    digits = int(generator.choice([1, 2, 6]))  # ties with few digits
    scores = np.round(generator.random(n) * 0.6 + truth * generator.random() * 0.4, digits)
    return truth, scores


def test_random_cases_agree_with_scikit_learn():
    """200 cases, most with ties: the area and the curve."""
    generator = np.random.default_rng(8)
    for _ in range(200):
        truth, scores = random_case(generator)
        assert auroc(truth, scores).value == pytest.approx(roc_auc_score(truth, scores))
        curve = roc_curve(truth, scores)
        fpr, tpr, thresholds = expected_curve(truth, scores, drop_intermediate=False)
        assert curve.false_positive_rate == pytest.approx(fpr)
        assert curve.true_positive_rate == pytest.approx(tpr)
        assert curve.thresholds == pytest.approx(thresholds)


def test_the_variance_is_that_of_the_definition():
    """DeLong's structural components, pair by pair, for one model and for two."""
    generator = np.random.default_rng(9)
    for _ in range(50):
        truth, first = random_case(generator)
        second = np.round(generator.random(truth.size), 1)
        covariance = by_definition(truth, first, second)
        area = auroc(truth, first)
        assert area.standard_error == pytest.approx(np.sqrt(covariance[0, 0]), abs=1e-12)
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        result = compare_aurocs(truth, first, second)
        if isinstance(result.z, Undefined):
            assert variance == pytest.approx(0, abs=1e-12)
        else:
            assert result.z == pytest.approx(result.difference / np.sqrt(variance))


def by_definition(truth, *models):
    """DeLong's covariance by comparing each positive with each negative case."""
    positive = [np.asarray(scores)[truth == 1] for scores in models]
    negative = [np.asarray(scores)[truth == 0] for scores in models]
    wins = [
        (p[:, None] > n[None]) + 0.5 * (p[:, None] == n[None])
        for p, n in zip(positive, negative, strict=True)
    ]
    over_positives = np.cov([table.mean(axis=1) for table in wins])
    over_negatives = np.cov([table.mean(axis=0) for table in wins])
    return over_positives / positive[0].size + over_negatives / negative[0].size


def test_the_interval_covers_as_often_as_it_states():
    """1,000 samples of 30 and 60 from a known curve (AUROC .8): 95 % within sampling error."""
    generator = np.random.default_rng(4)
    shift, covered = 0.8416212 * np.sqrt(2), 0
    truth = np.array([1] * 30 + [0] * 60)
    for _ in range(1000):
        scores = generator.normal(size=90) + shift * truth
        interval = auroc(truth, scores).interval
        covered += interval.low <= 0.8 <= interval.high
    assert 930 <= covered <= 970


@pytest.mark.parametrize(
    ("truth", "reason"),
    [([], Reason.NO_CASES), ([0, 0], Reason.NO_POSITIVES), ([1, 1], Reason.NO_NEGATIVES)],
)
def test_one_class_has_no_curve(truth, reason):
    """Neither 0.5 nor 0."""
    scores = np.linspace(0, 1, len(truth))
    area = auroc(truth, scores)
    assert area.value == area.standard_error == area.interval == Undefined(reason)
    assert roc_curve(truth, scores) == Undefined(reason)
    assert compare_aurocs(truth, scores, scores).p == Undefined(reason)


def test_one_case_of_a_class_has_an_area_without_variance():
    """The area is defined; its error, interval and test are not."""
    area = auroc([1, 0, 0], [0.4, 0.3, 0.5])
    assert area.value == 0.5
    assert area.standard_error == area.interval == Undefined(Reason.ONE_PER_CLASS)
    result = compare_aurocs([1, 0, 0], [0.4, 0.3, 0.5], [0.9, 0.3, 0.5])
    assert result.difference == -0.5
    assert result.p == Undefined(Reason.ONE_PER_CLASS)


def test_a_perfect_ranking_has_no_logit_interval():
    """AUROC 1 does not show that the model is never wrong."""
    area = auroc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    assert (area.value, area.interval) == (1.0, Undefined(Reason.AT_BOUNDARY))
    assert auroc([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]).interval == Undefined(Reason.AT_BOUNDARY)


def test_scores_all_equal_rank_by_chance_with_no_variance():
    """0.5 exactly, with an interval of no width, and no test between two such models."""
    area = auroc([0, 1, 0, 1], [0.3] * 4)
    assert (area.value, area.standard_error) == (0.5, 0.0)
    assert area.interval == Interval(0.5, 0.5)
    assert compare_aurocs([0, 1, 0, 1], [0.3] * 4, [0.2] * 4).z == Undefined(Reason.NO_VARIANCE)


def test_models_with_the_same_ranking_cannot_be_distinguished():
    """The difference is 0; its variance too, so there is no z."""
    result = compare_aurocs(TRUTH, FIRST, np.square(FIRST))
    assert result.difference == 0.0
    assert result.z == result.p == Undefined(Reason.NO_VARIANCE)


def test_unusable_input_is_refused():
    """NaN scores, other lengths, truth that is not binary."""
    for truth, scores in (([0, 1], [0.1, np.nan]), ([0, 1], [0.1]), ([0, 3], [0.1, 0.2])):
        with pytest.raises(EvaluationInputError):
            auroc(truth, scores)
        with pytest.raises(EvaluationInputError):
            roc_curve(truth, scores)
