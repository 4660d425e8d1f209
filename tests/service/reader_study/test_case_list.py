"""Case lists: CSV and JSON Lines, with every fault named at once."""

import json

import pytest

from service.reader_study.case_list import read_case_list
from service.reader_study.errors import InvalidReaderStudy
from service.reader_study.words import Arm


def test_csv_and_json_lines_hold_the_same_cases(tmp_path):
    """A draft without a text is the service's own; quoted line breaks stay."""
    rows = [("1", "1.2.3", "draft", ""), ("1", "1.2.3", "reference", "Clear,\nlungs.")]
    names = ("id", "study_instance_uid", "arm", "text")
    table, lines = tmp_path / "cases.csv", tmp_path / "cases.jsonl"
    table.write_text(
        'id,study_instance_uid,arm,text\n1,1.2.3,draft,\n1,1.2.3,Reference,"Clear,\nlungs."\n'
    )
    lines.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    for path in (table, lines):
        found = [(each.id, each.study_uid, each.arm, each.text) for each in read_case_list(path)]
        assert found == [(a, b, Arm(c), d) for a, b, c, d in rows]


def test_every_fault_is_named_and_no_value_quoted(tmp_path):
    """Lines, columns, doubled arms and two studies of one case."""
    path = tmp_path / "cases.csv"
    path.write_text(
        "id,study_instance_uid,arm,text\n"
        "1,1.2.3,draft,\n1,1.2.3,draft,\n1,1.2.4,reference,Secret name\n"
        ",1.2.3,draft,\n2,abc,draft,\n3,1.2.3,model,\n4,1.2.3,reference,\n"
    )
    with pytest.raises(InvalidReaderStudy) as caught:
        read_case_list(path)
    faults = caught.value.faults
    assert [fault.partition(": ")[0] for fault in faults] == [
        f"cases.csv line {line}" for line in (5, 6, 7, 8, 3, 4)
    ]
    assert "Secret" not in str(caught.value)


def test_a_study_belongs_to_one_case(tmp_path):
    """Its image would be read twice, a few items apart, and counted as two independent cases."""
    path = tmp_path / "cases.csv"
    path.write_text("id,study_instance_uid,arm,text\n1,1.2.3,draft,A.\n2,1.2.3,reference,B.\n")
    with pytest.raises(InvalidReaderStudy, match=r"line 3: another case above has this study"):
        read_case_list(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,arm\n1,draft\n", "study_instance_uid is missing"),
        (b"id,study_instance_uid,arm,text\n", "no case"),
        (b"\xff\xfe", "not UTF-8"),
        (b'id,study_instance_uid,arm,text\n"1', "no CSV"),
    ],
)
def test_a_file_that_is_no_case_list_is_refused(tmp_path, content, words):
    """With what is wrong and what to do."""
    path = tmp_path / "cases.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidReaderStudy, match=words):
        read_case_list(path)
    with pytest.raises(InvalidReaderStudy, match="No such file"):
        read_case_list(tmp_path / "none.csv")
