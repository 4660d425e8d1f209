"""Label tables, the published sets of findings, and which pairs count."""

import numpy as np
import pytest

from service.evaluation.labels import (
    BLANK_NEGATIVE,
    DEFINITE_PAIRS,
    FIVE,
    FOURTEEN,
    POSITIVE_ONLY,
    SIX,
    UNCERTAIN_POSITIVE,
    Label,
    LabelTable,
    label_counts,
    pairs,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined

ALL = (Label.POSITIVE, Label.NEGATIVE, Label.UNCERTAIN, Label.UNKNOWN)


def table(*rows, findings=("edema",)):
    """A table of rows of labels."""
    values = np.array(rows, dtype=np.int8).reshape(len(rows), len(findings))
    return LabelTable(tuple(f"s{n}" for n in range(len(rows))), tuple(findings), values)


def test_the_sets_are_those_of_the_papers():
    """Five and six lie within the fourteen; their sizes are their names."""
    assert (len(set(FIVE)), len(set(SIX)), len(set(FOURTEEN))) == (5, 6, 14)
    assert set(FIVE) < set(FOURTEEN)
    assert set(SIX) < set(FOURTEEN)
    assert set(SIX) - set(FIVE) == {"pneumothorax"}


@pytest.mark.parametrize(
    ("policy", "counted", "positive"),
    [
        (DEFINITE_PAIRS, "1100", "1000"),
        (POSITIVE_ONLY, "1111", "1000"),
        (UNCERTAIN_POSITIVE, "1111", "1010"),
        (BLANK_NEGATIVE, "1101", "1000"),
    ],
)
def test_a_policy_takes_each_label_of_either_side_alike(policy, counted, positive):
    """All 16 combinations of positive, negative, uncertain, unknown."""
    takes = {
        label: (c == "1", p == "1") for label, c, p in zip(ALL, counted, positive, strict=True)
    }
    for one in ALL:
        for other in ALL:
            pair = pairs(table(one), table(other), policy)
            (one_counts, one_positive), (other_counts, other_positive) = takes[one], takes[other]
            counts = one_counts and other_counts
            assert pair.counted[0, 0] == counts
            assert pair.truth[0, 0] == (counts and one_positive)
            assert pair.predicted[0, 0] == (counts and other_positive)


def test_coverage_states_how_much_of_the_sample_a_policy_leaves():
    """Half of the studies are definite on both sides; without studies there is no share."""
    pair = pairs(table(1, 0, -1, 1), table(1, 1, 1, -2), DEFINITE_PAIRS)
    assert pair.coverage() == {"edema": 0.5}
    assert pairs(table(), table(), DEFINITE_PAIRS).coverage() == {
        "edema": Undefined(Reason.NO_CASES)
    }


def test_labels_are_counted_by_finding():
    """Each of the four, and the share that is definite."""
    counts = label_counts(table(1, 1, 0, -1, -2))["edema"]
    assert (counts.positive, counts.negative, counts.uncertain, counts.unknown) == (2, 1, 1, 1)
    assert counts.definite_share == pytest.approx(0.6)


def test_rows_and_columns_are_chosen_by_name():
    """In the order asked for; a missing value of a row is unknown."""
    rows = {"a": {"edema": Label.POSITIVE}, "b": {"fracture": Label.NEGATIVE}}
    whole = LabelTable.from_rows(rows, ("edema", "fracture"))
    assert whole.values.tolist() == [[1, -2], [-2, 0]]
    part = whole.rows(["b", "a"]).columns(["fracture"])
    assert (part.ids, part.findings, part.values.tolist()) == (
        ("b", "a"), ("fracture",), [[0], [-2]],
    )  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelTable(("a", "a"), ("edema",), np.zeros((2, 1), np.int8)),
        lambda: LabelTable(("a",), ("edema", "edema"), np.zeros((1, 2), np.int8)),
        lambda: LabelTable(("a",), ("edema",), np.zeros((2, 1), np.int8)),
        lambda: LabelTable(("a",), ("edema",), np.full((1, 1), 3, np.int8)),
        lambda: table(1).columns(["pneumonia"]),
        lambda: table(1).rows(["another"]),
        lambda: pairs(table(1), table(1, 0), DEFINITE_PAIRS),
        lambda: pairs(table(1), table(1, findings=("fracture",)), DEFINITE_PAIRS),
    ],
)
def test_tables_that_do_not_fit_are_refused(make):
    """Duplicates, shapes, values, missing names, two tables of other studies."""
    with pytest.raises(EvaluationInputError):
        make()


def test_the_message_of_missing_studies_names_none():
    """Identifiers of studies stay out of error texts."""
    with pytest.raises(EvaluationInputError, match="lacks 1 of 1") as raised:
        table(1).rows(["1.2.840.1"])
    assert "1.2.840" not in str(raised.value)
