"""Flow, metrics, checklist and page of an evaluation."""

import json
import re

import pytest

from service.assessment.checklist import checklist_json
from service.assessment.comparison_page import comparison_section
from service.assessment.figures import roc_curves
from service.assessment.flow import flow, flow_as_text
from service.assessment.groups import subgroups_csv
from service.assessment.judged import JudgeFigures
from service.assessment.metrics import metrics_of
from service.assessment.mistakes_page import mistakes_section
from service.assessment.page import page
from service.assessment.study_rows import Outcome, StudyRow, scored
from service.assessment.texts import Part, TextPair
from service.evaluation.chexprompt.prompt import ErrorType, Metric
from service.evaluation.chexprompt.reply import Form, Rating
from service.evaluation.chexprompt.summary import Judged, summary
from service.evaluation.metrics_json import metrics_json
from service.evaluation.report import render
from service.evaluation.subgroups import TooFew

MANIFEST = {
    "model": {
        "name": "demo", "version": "1", "weights_sha256": "ab", "decoding": "greedy",
        "device": "cpu", "dtype": "float32", "libraries": "torch",
    },
    "truth": {"files": ["labels.csv"], "sha256": "cd"},
    "blank_truth": "unknown",
    "labeler": "ef",
    "children": "patients below 18 years are not read",
    "started": "2026-01-02T03:04:05+00:00",
    "runs": [{"tokens": 7}, {"tokens": 5}],
}  # fmt: skip


def other(identifier, outcome, reason=""):
    """Return a study that was not scored."""
    return StudyRow(id=identifier, patient="p", outcome=outcome, reason=reason)


LEFT = [
    other("a", Outcome.UNREADABLE, "UNREADABLE"),
    other("b", Outcome.REFUSED, "NOT_FRONTAL"),
    other("c", Outcome.REFUSED, "NOT_FRONTAL"),
    other("d", Outcome.FAILED, "TEXT_NOT_LANGUAGE"),
    other("e", Outcome.NO_TRUTH),
]


@pytest.fixture(scope="module")
def found(rows_of):
    """Metrics of 60 scored studies, five others and 60 texts."""
    rows = [*rows_of(1), *LEFT]
    pairs = {
        row.id: TextPair(
            patient=row.patient,
            reference={Part.FINDINGS: "No edema." if n else "", Part.REPORT: "No edema. Normal."},
            draft={Part.FINDINGS: "No edema.", Part.REPORT: "No edema."},
        )
        for n, row in enumerate(scored(rows))
    }
    others = [("another model", rows_of(1, wrong=0.4))]
    return rows, metrics_of(rows, pairs, seed=0, truth_without_study=3, others=others, draws=50)


def test_the_flow_loses_no_study_without_a_reason():
    """From received to scored; each step states what was excluded."""
    steps = [(step.name, step.remaining, step.left) for step in flow(LEFT)]
    assert steps == [
        ("received", 5, ()),
        ("readable", 4, (("UNREADABLE", 1),)),
        ("eligible", 2, (("NOT_FRONTAL", 2),)),
        ("read", 1, (("TEXT_NOT_LANGUAGE", 1),)),
        ("with truth, scored", 0, (("no truth", 1),)),
    ]


def test_reasons_are_shown_as_sentences_where_there_are_some():
    """The page explains, the metrics keep the code."""
    steps = flow_as_text(flow(LEFT), {"NOT_FRONTAL": "Not a frontal view."})
    assert steps[2].left == (("Not a frontal view.", 2),)
    assert steps[3].left == (("TEXT_NOT_LANGUAGE", 1),)


def test_the_metrics_are_the_same_bytes_whatever_the_order(found):
    """And another seed gives other intervals."""
    rows, metrics = found

    def again(seed, order):
        return metrics_json(metrics_of(order, {}, seed=seed, truth_without_study=0, draws=50))

    assert again(0, rows) == again(0, rows[::-1])
    assert again(0, rows) != again(1, rows)
    assert metrics_json(metrics)


def test_a_constant_text_stands_beside_the_drafts(found):
    """Drafts that repeat the reference score 1; the study without reference is counted."""
    _, metrics = found
    findings = metrics.texts[Part.FINDINGS]
    assert findings.drafts.rouge_l.value == 1
    assert 0 < findings.constant.rouge_l.value < 1
    assert (findings.scored, findings.empty_references) == (59, 1)
    assert metrics.texts[Part.REPORT].scored == 60


def test_small_subgroups_show_no_figure_and_are_merged_when_exported(rows_of):
    """19 studies have no rate; groups below five are merged in the table."""
    rows = rows_of(1, n=40)
    metrics = metrics_of(rows, {}, seed=0, truth_without_study=0, draws=50)
    devices = next(groups for name, groups in metrics.subgroups.items() if name == "device")
    assert all(isinstance(each.f1, TooFew) for each in devices.values())
    text = subgroups_csv(rows_of(1, n=13))
    assert "MAKER A,edema,5" in text
    assert ",MAKER B," not in text
    assert "other (merged),edema,8" in text


def test_the_page_is_one_file_without_script(found, rows_of):
    """Nothing is fetched; the sentence on unverified drafts is at its top."""
    _, metrics = found
    report = page(
        metrics,
        facts=(("Model", "<b>demo</b>"),),
        curves=roc_curves(rows_of(1)),
        sections=(
            *(comparison_section(each) for each in metrics.comparisons),
            mistakes_section(metrics.errors, {}),
        ),
    )
    html = render(report)
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert "unverified AI drafts" in html
    assert "&lt;b&gt;demo" in html
    assert "too small for a claim" in html
    assert "Compared with another model on the same studies" in html


def test_the_errors_of_the_judge_have_their_names(rows_of):
    """A row for each type with its letter and words; replies that were read leniently are counted."""
    one = dict.fromkeys(ErrorType, 0) | {ErrorType.SEVERITY: 1}
    none = dict.fromkeys(ErrorType, 0)
    judged = [
        Judged(id=row.id, patient=row.patient, outcome=Rating(one, none, Form.TOLERANT))
        for row in rows_of(1)
    ]
    judge = JudgeFigures(
        metric=Metric.CHEXPROMPT,
        source={"model": "judge-1"},
        statements=("Counts of different judges are not comparable.",),
        figures=summary(judged, draws=50),
        without_reference=0,
    )
    metrics = metrics_of(rows_of(1), {}, seed=0, truth_without_study=0, judge=judge, draws=50)
    html = re.sub(r"\s*<[^>]+>\s*", "|", render(page(metrics, facts=(), curves={})))
    assert "|D wrong severity||1.00||1.00||0.00|" in html
    assert "|F omitted comparison||0.00||0.00||0.00|" in html
    assert "|Counted, from a reply in another layout than requested||60|" in html


def test_the_checklist_answers_what_software_knows_and_nothing_else(found):
    """Each item has an answer with its source, or null for a person."""
    _, metrics = found
    items = json.loads(checklist_json(metrics, MANIFEST))["items"]
    by_name = {(each["guideline"], each["item"]): each for each in items}
    assert {each["guideline"] for each in items} == {
        "CLAIM 2024", "STARD-AI 2025", "TRIPOD-LLM 2025", "DECIDE-AI 2022",
    }  # fmt: skip
    assert all((each["answer"] is None) == (each["source"].startswith("to be")) for each in items)
    for name in ("ethics approval", "intended use and clinical role", "study limitations"):
        assert by_name["CLAIM 2024", name]["answer"] is None
    assert "NOT_FRONTAL" in by_name["STARD-AI 2025", "flow of participants"]["answer"]
    assert "12 tokens" in by_name["TRIPOD-LLM 2025", "number of tokens"]["answer"]


def test_an_evaluation_without_any_truth_is_a_page_too():
    """Every figure is undefined with its reason; nothing breaks."""
    metrics = metrics_of(LEFT, {}, seed=0, truth_without_study=0, draws=50)
    html = render(page(metrics, facts=(), curves={}))
    assert "nothing to measure" in html
    assert json.loads(checklist_json(metrics, MANIFEST))
