"""The columns of a label table about findings."""

import pytest

from service.evaluation.labels import Label
from workers.evaluation.finding_columns import finding_cells, finding_columns
from workers.evaluation.tables import TableRow


def cells(**given):
    """Return the cells of a row and the faults; underscores in names are spaces."""
    row = TableRow({name.replace("_", " "): value for name, value in given.items()}, "t.csv line 2")
    faults = []
    return finding_cells(row, finding_columns(tuple(row.cells), faults), faults), faults


def test_labels_are_one_zero_minus_one_or_blank():
    """As spreadsheets write them; other columns are passed over."""
    found, faults = cells(edema="1.0", effusion="0", pneumothorax="-1", cardiomegaly="", age="60")
    assert faults == []
    assert found.labels == {
        "edema": Label.POSITIVE,
        "pleural effusion": Label.NEGATIVE,
        "pneumothorax": Label.UNCERTAIN,
    }
    assert "cardiomegaly" in found.columns


def test_score_side_size_pattern_and_box():
    """Of the finding that the column names."""
    found, faults = cells(
        score_edema="0.5",
        side_pneumothorax="L",
        size_pneumothorax="12.5",
        pattern_consolidation="Focal",
        box_edema="1 2 30 40",
    )
    assert faults == []
    assert found.scores == {"edema": 0.5}
    assert found.sides == {"pneumothorax": "left"}
    assert found.sizes == {"pneumothorax": 12.5}
    assert found.patterns == {"consolidation": "focal"}
    assert found.boxes == {"edema": (1.0, 2.0, 30.0, 40.0)}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"edema": "yes"}, "edema must be 1, 0, -1 or blank, not 'yes'"),
        ({"score_edema": "1.5"}, "score edema must be 0 to 1"),
        ({"score_edema": "nan"}, "score edema must be 0 to 1"),
        ({"size_edema": "-2"}, "size edema must be at least 0"),
        ({"size_edema": "inf"}, "size edema must be at least 0"),
        ({"side_edema": "up"}, "side edema must be left, right, bilateral"),
        ({"box_edema": "1 2 3"}, "left top width height"),
        ({"box_edema": "1 2 3 nan"}, "left top width height"),
    ],
)
def test_a_cell_that_cannot_be_used_is_a_fault(given, problem):
    """With its line."""
    _, (fault,) = cells(**given)
    assert problem in fault
    assert fault.startswith("t.csv line 2: ")


def test_one_finding_has_one_column():
    """Two names of it are a fault."""
    faults = []
    finding_columns(("effusion", "pleural effusion"), faults)
    assert faults == ["'effusion' and 'pleural effusion' are the same finding"]
