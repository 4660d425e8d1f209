"""Files with the counts of human raters, in both forms."""

import pytest

from service.errors import ConfigurationError
from workers.judge.raters_file import Sum, read_ratings

WIDE = """id,reference,candidate,rater1,rater2,rater1_significant,rater2_significant
a,Clear.,Effusion.,1,2,1,1
b,Clear.,Clear.,0,0,0,0
"""
LONG = """study_number,candidate_type,error_category,clinically_significant,rater_index,num_errors
0,bleu,1,True,0,1
0,bleu,2,False,0,2
0,bleu,1,True,1,1
0,s_emb,1,False,0,0
0,s_emb,1,True,1,3
"""


def write(tmp_path, content):
    """Write a file of raters."""
    path = tmp_path / "raters.csv"
    path.write_text(content)
    return path


def test_one_row_a_pair(tmp_path):
    """Totals and parts; the texts are those of the file."""
    found = read_ratings(write(tmp_path, WIDE))
    assert found.ids == ("a", "b")
    assert found.counts[Sum.TOTAL].tolist() == [[1, 2], [0, 0]]
    assert found.counts[Sum.SIGNIFICANT].tolist() == [[1, 1], [0, 0]]
    assert Sum.INSIGNIFICANT not in found.counts
    assert [each.candidate for each in found.pairs.pairs] == ["Effusion.", "Clear."]


def test_totals_of_parts(tmp_path):
    """Where only the parts are given, the total is their sum; without texts there are no pairs."""
    header = "rater1_significant,rater2_significant,rater1_insignificant,rater2_insignificant\n"
    found = read_ratings(write(tmp_path, f"{header}1,2,3,4\n0,0,1,0\n"))
    assert found.counts[Sum.TOTAL].tolist() == [[4, 6], [1, 0]]
    assert found.pairs is None


def test_one_row_a_count(tmp_path):
    """ReXVal's form: summed over error categories, pairs named by study and candidate."""
    found = read_ratings(write(tmp_path, LONG))
    assert found.ids == ("0_bleu", "0_s_emb")
    assert found.counts[Sum.TOTAL].tolist() == [[3, 1], [0, 3]]
    assert found.counts[Sum.SIGNIFICANT].tolist() == [[1, 1], [0, 3]]
    assert found.counts[Sum.INSIGNIFICANT].tolist() == [[2, 0], [0, 0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,reference,candidate\na,x,y\n", "no columns rater1"),
        (
            WIDE.replace("a,Clear.,Effusion.,1,", "a,Clear.,Effusion.,many,"),
            "row 1: rater1 is 'many'",
        ),
        (WIDE.replace("a,Clear.,Effusion.,1,", "a,Clear.,Effusion.,,"), "row 1: rater1 is ''"),
        (WIDE.replace("a,Clear.,Effusion.,1,", "a,Clear.,Effusion.,-1,"), "'-1'"),
        (LONG.replace("True,1,3", "maybe,1,3"), "row 5"),
        (LONG.rsplit("\n", 2)[0], "0_s_emb by rater 1"),
    ],
)
def test_unusable_ratings_are_named(tmp_path, content, message):
    """A missing rating is not 0."""
    with pytest.raises(ConfigurationError, match=message):
        read_ratings(write(tmp_path, content))
