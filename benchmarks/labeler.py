"""Precision, recall and F1 of `findings` against human labels of Indiana University reports.

    python benchmarks/labeler.py [--errors NAME] [FOLDER]

FOLDER holds `openi_reports_dev.tgz` and `openi_gold_dev.csv` (default: ../shared/data/reports). A label
of 1 means coded as a major finding; 0 means not coded, which is no explicit negative. Beside the mean
F1 of the six stands the range that holds 95 in 100 draws of 770 of these reports: the variation by
chance on as many others.
"""

import argparse
import csv
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from dicom.content.report import CODED_OBSERVATIONS, Observation, Presence
from workers.labeller.findings import label

GOLD = {
    Observation.ATELECTASIS: "Atelectasis",
    Observation.CARDIOMEGALY: "Cardiomegaly",
    Observation.CONSOLIDATION: "Consolidation",
    Observation.EDEMA: "Edema",
    Observation.PLEURAL_EFFUSION: "Effusion",
    Observation.PNEUMOTHORAX: "Pneumothorax",
    Observation.PNEUMONIA: "Pneumonia",
}
DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "reports"


def reports(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the findings and impression of each report in the archive."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is None:
                continue
            root = ET.fromstring(file.read())  # noqa: S314 - published files under our own folder
            parts = {one.get("Label"): one.text or "" for one in root.iter("AbstractText")}
            text = f"{parts.get('FINDINGS', '')}\n{parts.get('IMPRESSION', '')}"
            yield Path(member.name).stem, text


def score(pairs: list[tuple[bool, bool]]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of (predicted, true) pairs."""
    both = sum(predicted and true for predicted, true in pairs)
    precision = both / max(1, sum(predicted for predicted, _ in pairs))
    recall = both / max(1, sum(true for _, true in pairs))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def spread(
    rows: list[list[tuple[bool, bool]]], *, size: int = 770, draws: int = 200
) -> tuple[float, float]:
    """Return the mean F1 that 2.5 and 97.5 in 100 draws of `size` reports stay below.

    Args:
        rows: For each finding the (predicted, true) pairs of the reports, in one order.
        size: Reports in a draw, each taken with replacement.
        draws: Number of draws.
    """
    chance = random.Random(0)
    means = []
    for _ in range(draws):
        drawn = chance.choices(range(len(rows[0])), k=size)
        means.append(sum(score([row[index] for index in drawn])[2] for row in rows) / len(rows))
    means.sort()
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument(
        "--errors", help="print the reports where this observation is judged wrongly"
    )
    options = parser.parse_args()
    with (options.folder / "openi_gold_dev.csv").open(newline="") as file:
        gold = {row["filename"]: row for row in csv.DictReader(file)}
    pairs: dict[str, dict[Observation, list[tuple[bool, bool]]]] = {
        positive: {name: [] for name in GOLD} for positive in ("present", "present or uncertain")
    }
    for stem, text in reports(options.folder / "openi_reports_dev.tgz"):
        found = {finding.observation: finding for finding in label(text)}
        for name, column in GOLD.items():
            presence, true = found[name].presence, gold[stem][column] == "1"
            predicted = presence is Presence.PRESENT
            pairs["present"][name].append((predicted, true))
            maybe = predicted or presence is Presence.UNCERTAIN
            pairs["present or uncertain"][name].append((maybe, true))
            if options.errors == name.value and maybe != true:
                print(f"{stem} gold={int(true)} {presence}: {found[name].sentence}")
                print(f"    {' '.join(text.split())}")
    for positive, rows in pairs.items():
        print(f"\n{positive:24}      P     R    F1    positives")
        for name, row in rows.items():
            p, r, f1 = score(row)
            print(f"{name:28}{p:6.3f}{r:6.3f}{f1:6.3f}{sum(true for _, true in row):8}")
        low, high = spread([rows[name] for name in CODED_OBSERVATIONS])
        mean = sum(score(rows[name])[2] for name in CODED_OBSERVATIONS) / 6
        print(f"{'mean F1 of the six':40}{mean:6.3f}   {low:.3f} to {high:.3f} in draws of 770")


if __name__ == "__main__":
    main()
