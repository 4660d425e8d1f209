"""The rows of an evaluation as CSV."""

import dataclasses

import pytest

from service.assessment.study_rows import Attribute, Detail, Outcome, StudyRow, read_rows, rows_csv
from service.evaluation.labels import Label
from service.evaluation.values import EvaluationInputError


def test_rows_are_read_as_they_were_written(rows_of, tmp_path):
    """Labels, scores, sides, sizes and attributes come back."""
    refused = StudyRow(id="z", patient="p9", outcome=Outcome.REFUSED, reason="NOT_FRONTAL")
    odd = StudyRow(
        id='a, "quoted"\nid',
        patient="p8",
        outcome=Outcome.SCORED,
        truth={"edema": Label.UNCERTAIN},
        details={"edema": Detail(truth_side="bilateral", size=0.25, pattern="diffuse")},
        attributes={Attribute.URGENT: "urgent"},
        rouge_l=0.5,
        cut=True,
        word_count=0,
        conflicts=2,
    )
    rows = [*rows_of(1), refused, odd]
    path = tmp_path / "per_study.csv"
    path.write_text(rows_csv(rows), encoding="utf-8", newline="")
    assert list(read_rows(path)) == sorted(rows, key=lambda row: row.id)


def test_the_same_rows_give_the_same_bytes_in_any_order(rows_of):
    """A run that was interrupted reads the studies in another order."""
    rows = rows_of(2)
    assert rows_csv(rows) == rows_csv(list(reversed(rows)))


def test_another_file_is_refused_by_name(tmp_path):
    """The message names the missing column, or the wrong line."""
    path = tmp_path / "per_study.csv"
    path.write_text("id,patient\n1,2\n")
    with pytest.raises(EvaluationInputError, match="no column outcome, reason"):
        read_rows(path)
    path.write_text("id,patient,outcome,reason,truth edema\n1,2,scored,,7\n")
    with pytest.raises(EvaluationInputError, match="line 2"):
        read_rows(path)


def test_columns_without_a_value_are_left_out(rows_of):
    """A table of six findings has no columns for the other eight."""
    bare = [dataclasses.replace(row, scores={}) for row in rows_of(3)]
    header = rows_csv(bare).splitlines()[0]
    assert "truth edema" in header
    assert "fracture" not in header
    assert "score" not in header
