"""Confusion counts, F1 and rates against figures by hand, the metric goldens and scikit-learn."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, multilabel_confusion_matrix

from service.evaluation.classification import (
    Confusion,
    called,
    confusions,
    f1,
    f1_summary,
    macro_f1,
    micro_f1,
    rates,
    row_counts,
)
from service.evaluation.labels import (
    FOURTEEN,
    POSITIVE_ONLY,
    UNCERTAIN_POSITIVE,
    Label,
    LabelTable,
    pairs,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined

GOLDEN = Path(__file__).resolve().parents[3].parent / (
    "shared/reference/goldens/metrics/metrics_golden.json"
)


def binary_pairs(truth, predicted, findings=None):
    """Pairs of two tables of 0 and 1 (or labels)."""
    truth, predicted = np.array(truth, dtype=np.int8), np.array(predicted, dtype=np.int8)
    findings = tuple(findings or (f"f{n}" for n in range(truth.shape[1])))
    ids = tuple(f"s{n}" for n in range(len(truth)))
    return pairs(
        LabelTable(ids, findings, truth), LabelTable(ids, findings, predicted), POSITIVE_ONLY
    )


def from_digits(text):
    """Rows of digits as lists."""
    return [[int(digit) for digit in row] for row in text.split()]


def test_the_table_of_the_acceptance_list():
    """Six studies, three findings, the third in no truth: F1 .6667, 1, 0; micro .7273; macro .5556."""
    pair = binary_pairs(
        from_digits("100 110 000 010 100 000"), from_digits("100 010 000 111 100 000")
    )
    summary = f1_summary(confusions(pair))
    assert [f"{value:.4f}" for value in summary.per_finding.values()] == [
        "0.6667", "1.0000", "0.0000",
    ]  # fmt: skip
    assert f"{summary.micro:.4f}" == "0.7273"
    assert f"{summary.macro_zero:.4f}" == f"{summary.macro_defined:.4f}" == "0.5556"
    assert summary.empty == 0


def test_random_tables_agree_with_scikit_learn():
    """200 tables with empty classes: counts, F1 per finding, micro and macro."""
    generator = np.random.default_rng(20)
    empty = 0
    for _ in range(200):
        n, f = int(generator.integers(1, 40)), int(generator.integers(2, 15))
        prevalence = generator.choice([0.0, 0.05, 0.3, 0.9, 1.0], size=f)
        truth = (generator.random((n, f)) < prevalence).astype(np.int8)
        predicted = (generator.random((n, f)) < generator.permutation(prevalence)).astype(np.int8)
        counts = confusions(binary_pairs(truth, predicted))
        mine, summary = list(counts.values()), f1_summary(counts)
        expected = multilabel_confusion_matrix(truth, predicted)
        assert [[[c.tn, c.fp], [c.fn, c.tp]] for c in mine] == expected.tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            each = f1_score(truth, predicted, average=None, zero_division=np.nan)
            micro = f1_score(truth, predicted, average="micro", zero_division=np.nan)
            macro = f1_score(truth, predicted, average="macro", zero_division=0)
        assert [
            np.nan if isinstance(value, Undefined) else value
            for value in summary.per_finding.values()
        ] == pytest.approx(each.tolist(), nan_ok=True)
        assert summary.empty == int(np.isnan(each).sum())
        assert summary.macro_zero == pytest.approx(macro)
        if isinstance(summary.micro, Undefined):
            assert np.isnan(micro)
        else:
            assert summary.micro == pytest.approx(micro)
            assert summary.macro_defined == pytest.approx(np.nanmean(each))
        empty += summary.empty
    assert empty > 50


@pytest.mark.parametrize(
    ("policy", "all_key", "five_key"),
    [(POSITIVE_ONLY, "f1_14", "f1_5"), (UNCERTAIN_POSITIVE, "f1_14_plus", "f1_5_plus")],
)
def test_the_f1_of_the_published_evaluation(policy, all_key, five_key):
    """LLaVA-Rad's F1-14, F1-5 and the + versions of 40 reports, from the stored golden."""
    if not GOLDEN.is_file():
        pytest.skip("the golden metrics (../shared/reference/goldens) are not on this machine")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["chexbert_f1"]
    names = tuple(name.lower() for name in golden["class_order"])
    assert names == FOURTEEN
    truth = of_classes(golden["class_outputs_ref"], names)
    predicted = of_classes(golden["class_outputs_pred"], names)
    five = [name.lower() for name in golden["five"]]
    for key, chosen in ((all_key, list(names)), (five_key, five)):
        summary = f1_summary(
            confusions(pairs(truth.columns(chosen), predicted.columns(chosen), policy))
        )
        expected = {name.lower(): row for name, row in golden[key].items()}
        for name, value in summary.per_finding.items():
            assert value == pytest.approx(expected[name]["f1-score"])
        assert summary.micro == pytest.approx(expected["micro avg"]["f1-score"])
        assert summary.macro_zero == pytest.approx(expected["macro avg"]["f1-score"])


def of_classes(heads, names):
    """A table of CheXbert's classes by head: 0 blank, 1 positive, 2 negative, 3 uncertain."""
    meaning = np.array([Label.UNKNOWN, Label.POSITIVE, Label.NEGATIVE, Label.UNCERTAIN], np.int8)
    values = meaning[np.array(heads).T]
    return LabelTable(tuple(f"s{n}" for n in range(len(values))), names, values)


def test_a_class_empty_on_both_sides_has_no_f1():
    """It lowers the macro with zero_division 0 and leaves the other; both are distinguished."""
    summary = f1_summary(confusions(binary_pairs([[1, 0], [0, 0]], [[1, 0], [0, 0]])))
    assert summary.per_finding == {"f0": 1.0, "f1": Undefined(Reason.EMPTY_CLASS)}
    assert (summary.macro_zero, summary.macro_defined, summary.empty) == (0.5, 1.0, 1)
    totals = np.array([[1, 0, 0, 1], [0, 0, 0, 2]])
    assert (macro_f1(totals), macro_f1(totals, empty_as_zero=True)) == (1.0, 0.5)
    assert macro_f1(totals[1:]) == Undefined(Reason.NO_DEFINED_CLASS)


def test_without_studies_or_findings_nothing_is_a_figure():
    """N = 0: no F1, no micro, no macro over defined classes, no rate."""
    summary = f1_summary(confusions(binary_pairs(np.zeros((0, 2)), np.zeros((0, 2)))))
    assert summary.micro == Undefined(Reason.EMPTY_CLASS)
    assert summary.macro_defined == Undefined(Reason.NO_DEFINED_CLASS)
    none = f1_summary({})
    assert none.macro_zero == none.macro_defined == Undefined(Reason.NO_DEFINED_CLASS)
    assert none.micro == Undefined(Reason.EMPTY_CLASS)
    nothing = rates(Confusion(tp=0, fp=0, fn=0, tn=0))
    assert nothing.prevalence.value == Undefined(Reason.NO_CASES)


def test_row_counts_sum_to_the_totals():
    """A resample of studies needs only these rows."""
    generator = np.random.default_rng(2)
    pair = binary_pairs(generator.integers(-2, 2, (30, 4)), generator.integers(-2, 2, (30, 4)))
    totals = row_counts(pair).sum(axis=0)
    assert totals.sum(axis=1).tolist() == [30] * 4
    summary = f1_summary(confusions(pair))
    assert (micro_f1(totals), macro_f1(totals)) == (summary.micro, summary.macro_defined)


def test_rates_at_the_threshold():
    """The example of the guide: at 0.5 or more TP 4, FN 1, FP 2, TN 5."""
    truth = np.array([1] * 5 + [0] * 7, dtype=bool)
    predicted = called([0.9, 0.8, 0.7, 0.55, 0.3, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2, 0.1])
    counts = Confusion.of(truth, predicted)
    assert (counts.tp, counts.fn, counts.fp, counts.tn) == (4, 1, 2, 5)
    found = rates(counts)
    assert (found.sensitivity.value, found.sensitivity.n) == (0.8, 5)
    assert (found.specificity.value, found.specificity.n) == (pytest.approx(5 / 7), 7)
    assert (found.ppv.value, found.npv.value) == (pytest.approx(4 / 6), pytest.approx(5 / 6))
    assert (found.prevalence.value, found.prevalence.n) == (pytest.approx(5 / 12), 12)
    assert f1(counts) == pytest.approx(8 / 11)


@pytest.mark.parametrize(
    ("counts", "rate", "reason"),
    [
        ({"fp": 1, "tn": 1}, "sensitivity", Reason.NO_POSITIVES),
        ({"tp": 1, "fn": 1}, "specificity", Reason.NO_NEGATIVES),
        ({"fn": 1, "tn": 1}, "ppv", Reason.NO_CALLED_POSITIVE),
        ({"tp": 1, "fp": 1}, "npv", Reason.NO_CALLED_NEGATIVE),
    ],
)
def test_a_rate_without_cases_states_what_is_missing(counts, rate, reason):
    """One class only, or one answer only."""
    found = getattr(rates(Confusion(**({"tp": 0, "fp": 0, "fn": 0, "tn": 0} | counts))), rate)
    assert found.value == found.interval == Undefined(reason)


def test_impossible_input_is_refused():
    """Negative counts, shapes that differ, a score that is not a number."""
    with pytest.raises(EvaluationInputError, match="fn"):
        Confusion(tp=1, fp=0, fn=-1, tn=0)
    with pytest.raises(EvaluationInputError, match="shape"):
        Confusion.of(np.zeros(2, bool), np.zeros(3, bool))
    with pytest.raises(EvaluationInputError, match="finite"):
        called([0.2, np.nan])
