"""Pairs of texts: read, refused, exported."""

import pytest

from service.errors import ConfigurationError
from workers.evaluation.safe_names import safe_name
from workers.judge.pairs import Pair, export_pairs, read_pairs


def test_a_folder_of_an_evaluation(tmp_path):
    """References and drafts by file name; a missing draft is empty; the patient from per_study.csv."""
    for name, text in (
        ("ref/a", "No  effusion.\n"),
        ("cand/a", "Effusion."),
        ("ref/b", "Clear."),
        ("ref/c", ""),
    ):
        path = tmp_path / "pairs" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "per_study.csv").write_text("id,patient,other\na,p7,1\n")
    found = read_pairs(tmp_path)
    assert found.without_reference == 1
    assert found.pairs == (
        Pair(id="a", patient="p7", reference="No effusion.", candidate="Effusion."),
        Pair(id="b", patient="b", reference="Clear.", candidate=""),
    )


def test_a_csv_file(tmp_path):
    """Any order of columns, further columns, a byte order mark."""
    path = tmp_path / "pairs.csv"
    path.write_text("\ufeffcandidate,ID,extra,reference\nEffusion.,1.2.3,x,Clear.\n", "utf-8")
    assert read_pairs(path).pairs == (
        Pair(id="1.2.3", patient="1.2.3", reference="Clear.", candidate="Effusion."),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no header"),
        ("id,reference\na,b\n", "no column candidate"),
        ("id,reference,candidate\n", "no rows"),
        ("id,reference,candidate\na,,x\n", "no pair with a reference"),
        ("id,reference,candidate\na,x,y\na,x,y\n", "row 2: id 'a' occurs twice"),
        ("id,reference,candidate\n../a,x,y\n,x,y\n", "row 1: id '../a'"),
        (f"id,reference,candidate\na,{'x' * 100_001},y\n", "more than 100000 characters"),
    ],
)
def test_an_unusable_file_is_refused_with_its_faults(tmp_path, content, message):
    """Nothing is sent before all rows are checked."""
    path = tmp_path / "pairs.csv"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")):
        read_pairs(path)


def test_a_folder_without_pairs_states_what_to_do(tmp_path):
    """An evaluation without texts cannot be judged."""
    with pytest.raises(ConfigurationError, match="--export-pairs"):
        read_pairs(tmp_path)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    """Neither guessed nor replaced: the judge would compare other text."""
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"id,reference,candidate\na,\xff\xfe,y\n")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_pairs(path)


def test_exported_pairs_can_be_read_again(tmp_path):
    """As text files and as one CSV file; a folder that holds pairs is not mixed with others."""
    pairs = (
        Pair(id="a", patient="p", reference='He said "clear", twice.', candidate=""),
        Pair(id="b", patient="b", reference="Clear.", candidate="Effusion, left."),
    )
    export_pairs(pairs, tmp_path / "pairs")
    assert read_pairs(tmp_path / "pairs" / "pairs.csv").pairs == pairs
    assert [each.candidate for each in read_pairs(tmp_path).pairs] == ["", "Effusion, left."]
    with pytest.raises(ConfigurationError, match="already holds pairs"):
        export_pairs(pairs, tmp_path / "pairs")


def test_names_that_an_evaluation_encodes(tmp_path):
    """A study's id may hold any character; its file has an encoded name; the patient is found."""
    name = safe_name("image 1/größe")
    for kind, text in (("ref", "Clear."), ("cand", "Effusion.")):
        folder = tmp_path / "pairs" / kind
        folder.mkdir(parents=True)
        (folder / f"{name}.txt").write_text(text)
    (tmp_path / "per_study.csv").write_text("id,patient\nimage 1/größe,p3\n", "utf-8")
    [pair] = read_pairs(tmp_path).pairs
    assert (pair.id, pair.patient) == (name, "p3")
