"""Evaluation before and after a change: modifications, comparison, and the verdict on each limit."""

import pytest

from service.evaluation.resampling import Bootstrap
from service.evaluation.values import Interval
from service.quality.change_evaluation import Verdict, _by_drop, change_evaluation
from service.quality.evaluation_folder import read_evaluation
from service.quality.inputs import Change
from service.quality.limits import Limit, read_limits
from service.quality.period import QualityInputError
from tests.service.assessment.rows import make_rows
from tests.service.quality.conftest import write_evaluation

LIMITS = """
set_on = 2026-03-01
set_by = "Quality board"
limit = [
  {figure = "micro_f1", minimum = 0.1},
  {figure = "micro_f1", minimum = 0.9},
  {figure = "micro_f1", largest_drop = 0.05},
  {figure = "specificity", largest_drop = 0.99},
  {finding = "edema", figure = "f1", largest_drop = 0.01},
  {finding = "edema", figure = "sensitivity", minimum = 0.2},
  {finding = "fracture", figure = "ppv", minimum = 0.2},
]
"""


@pytest.fixture
def change(evaluations, tmp_path):
    """A function: text of the limits, and optionally two folders -> the change."""

    def make(text=LIMITS, before=evaluations[0], after=evaluations[1]):
        path = tmp_path / "limits.toml"
        path.write_text(text)
        folders = {"before": read_evaluation(before), "after": read_evaluation(after)}
        return Change(**folders, limits=read_limits(path))

    return make


def test_each_limit_is_passed_or_exceeded(change):
    """Passed by the whole interval only; a finding without figures has no value."""
    found = change_evaluation(change())
    assert [each["verdict"] for each in found.values["limits"]] == [
        "passed", "exceeded", "exceeded", "passed", "exceeded", "passed", "no value",
    ]  # fmt: skip
    (table,) = found.sections[2].tables
    assert table.rows[0][0] == "micro F1, all findings together"
    assert table.rows[2][1] == "after minus before: at least -0.05"


def test_a_value_whose_interval_does_not_keep_the_limit_is_not_passed(change):
    """Few studies: the value keeps it, and the lower bound does not."""
    value = change().after.metrics["figures"]["together"]["micro"]
    between = (value["value"] + value["interval"]["low"]) / 2
    text = f'limit = [{{figure = "micro_f1", minimum = {between:.4f}}}]'
    found = change_evaluation(change(text))
    assert found.values["limits"][0]["verdict"] == Verdict.NOT_SHOWN
    assert dict(found.sections[2].facts)["Set by"].startswith("not recorded")


PERFECT = """
limit = [
  {figure = "micro_f1", minimum = 0.9},
  {figure = "micro_f1", largest_drop = 0.05},
  {figure = "specificity", minimum = 0.5},
  {finding = "edema", figure = "f1", minimum = 0.5},
  {finding = "edema", figure = "f1", largest_drop = 0.99},
]
"""


def test_equal_resamples_prove_no_more_than_their_number(change, tmp_path):
    """All drafts of few studies are right: the interval by resampling is 1 to 1, and 0 to 0."""
    verdicts = {}
    for count in (8, 400):
        rows = make_rows(3, n=count, wrong=0)
        folders = [write_evaluation(tmp_path / f"{n}-{count}", rows) for n in (1, 2)]
        found = change_evaluation(change(PERFECT, *folders))
        verdicts[count] = [each["verdict"] for each in found.values["limits"]]
        (table,) = found.sections[2].tables
        assert table.rows[0][2].startswith("1.000 (the same in every resample of ")
    assert verdicts[8] == ["not shown"] * 5
    assert verdicts[400] == ["passed"] * 5


def test_the_exact_bound_is_that_of_clopper_and_pearson():
    """5 of 5: at least 47.8 %; without a case there is none."""
    few = Bootstrap(value=1.0, interval=Interval(1.0, 1.0), draws=2000, undefined=0, patients=5)
    assert _by_drop(Limit(figure="f1", finding="edema", minimum=0.4), few, 5).low == pytest.approx(
        0.025**0.2
    )
    assert _by_drop(Limit(figure="f1", finding="edema", minimum=0.4), few, 0).low is None


def test_modifications_are_those_of_the_manifests(change):
    """Version, weights and a setting; what is equal is not listed."""
    (table,) = change_evaluation(change()).sections[0].tables
    changed = {row[0]: row[1:] for row in table.rows}
    assert set(changed) == {"Version", "Weights, SHA-256", "reading.temperature"}
    assert changed["reading.temperature"] == ("0", "0.2")


def test_limits_dated_after_the_evaluation_are_pointed_out(change):
    """The evaluation after the change was begun on 20 March."""
    late = change_evaluation(change(LIMITS.replace("2026-03-01", "2026-03-21")))
    assert "not limits set beforehand" in late.sections[2].warnings[0]
    (exceeded,) = change_evaluation(change()).sections[2].warnings
    assert exceeded.startswith("Exceeded, 3 of 7: micro F1, all findings together; ")


def test_other_studies_are_two_samples(change, tmp_path):
    """No test, and a warning; only figures that such a comparison has can have a limit."""
    others = write_evaluation(
        tmp_path / "others", [row for row in make_rows(9, n=80) if row.id >= "s040"], version="2"
    )
    found = change_evaluation(change(after=others))
    assert "no study in common" in found.sections[1].warnings[0]
    verdicts = [each["verdict"] for each in found.values["limits"]]
    assert verdicts[3] == Verdict.NO_VALUE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("limit = []", "limit"),
        ('limit = [{figure = "f1", minimum = 0.5}]', "is one of micro_f1"),
        ('limit = [{figure = "micro_f1"}]', "either minimum or largest_drop"),
        ('limit = [{figure = "micro_f1", minimum = 2}]', "less than or equal to 1"),
        ('limit = [{finding = "gout", figure = "f1", minimum = 0.5}]', "finding is one of"),
        ('limit = [{finding = "edema", figure = "ppv", largest_drop = 0.5}]', "that of its f1"),
        ("limit = [", "is not TOML"),
        ('colour = 1\nlimit = [{figure = "micro_f1", minimum = 0.5}]', "colour"),
    ],
)
def test_a_wrong_file_of_limits_is_refused(tmp_path, text, fault):
    """The message names the file and the fault."""
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(QualityInputError, match=fault) as caught:
        read_limits(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"figures": {}, "flow": 3}', "[" * 100_000])
def test_a_folder_that_is_no_evaluation_is_refused(tmp_path, content):
    """Wrong JSON too."""
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(QualityInputError, match=r"metrics\.json"):
        read_evaluation(tmp_path)
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(QualityInputError, match=r"metrics\.json"):
        read_evaluation(tmp_path)
