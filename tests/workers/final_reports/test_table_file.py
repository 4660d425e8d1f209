"""Files with final reports: the fields of a line, and the messages of faults."""

import json

import pytest

from service.errors import ConfigurationError
from service.final_reports.report import FinalReport
from workers.final_reports.table_file import LineFault, Preliminary, read_reports


def written(folder, content, name="reports.csv"):
    """Return the path of a file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_table_of_another_system(tmp_path):
    """Semicolons, a byte order mark, quoted line breaks, unknown columns, blank lines."""
    content = (
        "\ufeffAccession Number;Patient Name;Status;Report Text\r\n"
        'A1;Doe;final;"FINDINGS: Clear.\nIMPRESSION: Normal."\r\n'
        "\r\n"
        "A2;Doe;preliminary;x\r\n"
        "A3;Doe;deleted;\r\n"
    )
    first, second, third = read_reports(written(tmp_path, content))
    assert isinstance(first, FinalReport)
    assert first.text == "FINDINGS: Clear.\nIMPRESSION: Normal."
    assert isinstance(second, Preliminary)
    assert third.status == "withdrawn"


def test_json_lines(tmp_path):
    """Numbers as text; nested values and broken lines are faults with their place."""
    lines = [
        json.dumps({"accession": 4711, "findings": "Clear.", "impression": None}),
        json.dumps({"accession": "A", "report": ["x"]}),
        '{"accession": "A", ',
        "[" * 10_000,
        "7",
        json.dumps({"accession": "A", "accession_number": "B", "report": "x"}),
    ]
    path = written(tmp_path, "\n".join(lines), "reports.jsonl")
    good, *faults = read_reports(path)
    assert good.keys.accession_number == "4711"
    assert all(isinstance(fault, LineFault) for fault in faults)
    assert str(faults[0]) == f"{path} line 2: column report: must be a text or a number"
    assert f"{path} line 3 column 20" in str(faults[1])
    assert [f"line {number}" in str(fault) for number, fault in enumerate(faults, 2)] == [True] * 5


def test_faults_of_lines_name_file_line_and_column(tmp_path):
    """Every one is found, and no value is shown."""
    content = "accession,study_uid,report\nA1,SECRET,x\n,1.2.3,\nA2,,Clear.\n"
    path = written(tmp_path, content)
    first, second, third = read_reports(path)
    assert str(first).startswith(f"{path} line 2: column study_uid: ")
    assert str(second).startswith(f"{path} line 3: column report: ")
    assert "SECRET" not in str(first)
    assert isinstance(third, FinalReport)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"accession,report\nA1,M\xfcller\n", "UTF-8"),
        (b"accession,date\nA1,x\n", "no column with the text"),
        (b"accession,report,text\nA1,x,y\n", "two columns mean report"),
        (b'accession,report\nA1,"x\n', "quotation mark"),
        (b'accession,report\nA1,"' + b"x" * 300_000 + b'"\n', "line 2"),
        (b"a," * 300 + b"\n", "more than 200 columns"),
        (b"\n\n", "no column with the text"),
    ],
)
def test_a_file_that_cannot_be_read(content, message, tmp_path):
    """The message states the reason and the place."""
    with pytest.raises(ConfigurationError, match=message):
        list(read_reports(written(tmp_path, content)))
