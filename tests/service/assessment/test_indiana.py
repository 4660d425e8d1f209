"""The Indiana reports as if they were drafts, against their human labels: the figures of the guide."""

import tarfile

import numpy as np
import pytest
from sklearn.metrics import f1_score

from service.assessment.metrics import metrics_of
from service.assessment.study_rows import Outcome, StudyRow
from service.assessment.texts import Part, TextPair
from service.evaluation.labels import SIX, Label
from workers.evaluation.report_texts import open_i_text
from workers.evaluation.truth import truths_at

COUNT = 3080


@pytest.fixture(scope="module")
def indiana(shared_data):
    """Reports by name, and the human labels of each."""
    folder = shared_data / "reports"
    with tarfile.open(folder / "openi_reports_dev.tgz") as archive:
        texts = {
            member.name.rpartition("/")[2].removesuffix(".xml"): archive.extractfile(member)
            .read()
            .decode()
            for member in archive
            if member.isfile()
        }
    faults = []
    truths = truths_at(folder / "openi_gold_dev.csv", faults)
    assert faults == []
    reports = {name: open_i_text(text, name, faults)[0] for name, text in texts.items()}
    return reports, {truth.names[-1]: truth.labels for truth in truths}


@pytest.mark.slow
def test_reports_against_human_labels_give_the_figures_of_the_labeler(indiana):
    """3,080 studies; F1 as scikit-learn has it, and close to the published figures of the labeler."""
    reports, labels = indiana
    rows = [
        StudyRow(
            id=name,
            patient=name,
            outcome=Outcome.SCORED,
            truth=labels[name],
            predicted=report.labels,
        )
        for name, report in reports.items()
    ]
    pairs = {
        name: TextPair(patient=name, reference=report.parts, draft=report.parts)
        for name, report in reports.items()
    }
    found = metrics_of(rows, pairs, seed=0, truth_without_study=0, draws=20)
    assert found.figures.studies == COUNT
    truth, predicted = (
        np.array([[int(one[row].get(name) is Label.POSITIVE) for name in SIX] for row in reports])
        for one in (labels, {name: report.labels for name, report in reports.items()})
    )
    together = found.figures.together
    assert together.micro.value == pytest.approx(f1_score(truth, predicted, average="micro"))
    assert together.macro_zero.value == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert together.macro_zero.value > 0.9
    findings = found.texts[Part.FINDINGS]
    assert findings.drafts.rouge_l.value == pytest.approx(1)
    assert findings.constant.rouge_l.value == pytest.approx(0.32, abs=0.02)
    assert findings.empty_references == pytest.approx(393, abs=10)
