"""The labeler on the Indiana reports, measured by the statistics of `service.evaluation`."""

import csv
import tarfile
from pathlib import PurePath
from xml.etree import ElementTree

import pytest

from dicom.content.report import Presence
from service.evaluation.classification import confusions, f1_summary, macro_f1, row_counts
from service.evaluation.labels import (
    POSITIVE_ONLY,
    SIX,
    UNCERTAIN_POSITIVE,
    Label,
    LabelTable,
    label_counts,
    pairs,
)
from service.evaluation.resampling import Clusters, bootstrap
from workers.labeller.findings import label

# The columns of the human labels, in the order of SIX.
COLUMNS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Pneumothorax",
)  # fmt: skip
LABELS = {
    Presence.PRESENT: Label.POSITIVE,
    Presence.ABSENT: Label.NEGATIVE,
    Presence.UNCERTAIN: Label.UNCERTAIN,
}


@pytest.fixture(scope="module")
def tables(shared_data):
    """Human and computed labels of 3,080 reports; the human ones state coded or not coded."""
    folder = shared_data / "reports"
    if not (folder / "openi_reports_dev.tgz").is_file():
        pytest.skip("the Indiana reports (../shared/data/reports) are not on this machine")
    with (folder / "openi_gold_dev.csv").open(newline="", encoding="utf-8") as file:
        coded = {row["filename"]: row for row in csv.DictReader(file)}
    predicted, truth = {}, {}
    with tarfile.open(folder / "openi_reports_dev.tgz") as tar:
        for member in tar:
            if not member.isfile():
                continue
            name = PurePath(member.name).stem
            predicted[name] = labels_of(text_of(tar.extractfile(member).read()))
            truth[name] = {
                finding: Label(int(coded[name][column] == "1"))
                for finding, column in zip(SIX, COLUMNS, strict=True)
            }
    return LabelTable.from_rows(truth, SIX), LabelTable.from_rows(predicted, SIX)


def text_of(data):
    """Findings and impression of a report's XML."""
    root = ElementTree.fromstring(data)  # noqa: S314 - published files of our own
    parts = {part.get("Label"): part.text or "" for part in root.iter("AbstractText")}
    return f"{parts.get('FINDINGS', '')}\n{parts.get('IMPRESSION', '')}"


def labels_of(text):
    """The labels of a text, by the findings' names."""
    return {
        str(finding.observation): LABELS.get(finding.presence, Label.UNKNOWN)
        for finding in label(text)
    }


def test_the_f1_and_its_interval(tables):
    """Micro .949, macro .942 with 95 % .915 to .962 (1,000 draws, seed 0, by report)."""
    pair = pairs(*tables, POSITIVE_ONLY)
    summary = f1_summary(confusions(pair))
    assert (summary.micro, summary.macro_defined) == pytest.approx((0.949, 0.942), abs=0.005)
    found = bootstrap(
        lambda rows: macro_f1(rows.sum(axis=0)),
        row_counts(pair),
        Clusters(tables[0].ids),
        draws=1000,
    )
    assert (found.interval.low, found.interval.high) == pytest.approx((0.915, 0.962), abs=0.005)


def test_uncertain_taken_as_positive_costs_precision(tables):
    """Micro .914, macro .879."""
    summary = f1_summary(confusions(pairs(*tables, UNCERTAIN_POSITIVE)))
    assert (summary.micro, summary.macro_defined) == pytest.approx((0.914, 0.879), abs=0.005)


def test_the_share_of_definite_labels(tables):
    """Definite pairs only would drop most of the sample for atelectasis and edema."""
    shares = [round(counts.definite_share, 2) for counts in label_counts(tables[1]).values()]
    assert shares == pytest.approx([0.08, 0.88, 0.32, 0.08, 0.75, 0.69], abs=0.02)
