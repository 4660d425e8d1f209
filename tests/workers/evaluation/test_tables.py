"""CSV files as people make them."""

import pytest

from workers.evaluation.tables import column_name, read_table


@pytest.fixture
def table(tmp_path):
    """A function that returns table and faults of a file."""

    def read(content):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        faults = []
        return read_table(path, faults), faults

    return read


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_found_by_their_names(table, delimiter, mark):
    """With any delimiter, with or without a byte order mark; blank lines are passed."""
    cells = [["Study_ID", " Edema "], ["1.2", "1"], ["", ""], ["1.3", ""]]
    found, faults = table(mark + "\r\n".join(delimiter.join(line) for line in cells))
    assert faults == []
    assert found.header == ("id", "edema")
    assert [row.get("id") for row in found.rows] == ["1.2", "1.3"]
    assert found.rows[1].get("edema", "id") == "1.3"
    assert found.rows[1].where.endswith("line 4")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the table is empty"),
        ("id,edema,Edema\n1,1,1", "the column edema occurs twice"),
        ("id,edema\n1,1,1,7", "4 cells, but the table has 2 columns"),
        ('id\n"x', "line 2"),
        (b"id\n\xff", "not UTF-8 (byte 3)"),
    ],
)
def test_faults_name_the_file_and_the_line(table, content, problem):
    """All of them."""
    _, (fault,) = table(content)
    assert problem in fault
    assert "t.csv" in fault


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("Study Instance UID", "id"),
        ("accession_number", "id"),
        ("Image Index", "file"),
        ("Pleural  Effusion", "pleural effusion"),
    ],
)
def test_names_of_public_tables(cell, name):
    """As they are compared."""
    assert column_name(cell) == name
