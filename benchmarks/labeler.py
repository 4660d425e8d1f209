"""Precision, recall and F1 of `workers.findings` against human labels of Indiana University reports.

    python benchmarks/labeler.py [--errors NAME] [FOLDER]

FOLDER holds `openi_reports_dev.tgz` and `openi_gold_dev.csv` (default: ../shared/data/reports). A label
of 1 means coded as a major finding; 0 means not coded, which is no explicit negative.
"""

import argparse
import csv
import tarfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from dicom.report import SIX, Observation, Presence
from workers.findings import label

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
    """Return precision, recall and F1 of (said, true) pairs."""
    both = sum(said and true for said, true in pairs)
    precision = both / max(1, sum(said for said, _ in pairs))
    recall = both / max(1, sum(true for _, true in pairs))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument(
        "--errors", help="print the reports where this observation is judged wrongly"
    )
    options = parser.parse_args()
    with (options.folder / "openi_gold_dev.csv").open(newline="") as file:
        gold = {row["filename"]: row for row in csv.DictReader(file)}
    pairs = {
        positive: {name: [] for name in GOLD} for positive in ("present", "present or uncertain")
    }
    for stem, text in reports(options.folder / "openi_reports_dev.tgz"):
        found = {finding.observation: finding for finding in label(text)}
        for name, column in GOLD.items():
            presence, true = found[name].presence, gold[stem][column] == "1"
            said = presence is Presence.PRESENT
            pairs["present"][name].append((said, true))
            maybe = said or presence is Presence.UNCERTAIN
            pairs["present or uncertain"][name].append((maybe, true))
            if options.errors == name.value and maybe != true:
                print(f"{stem} gold={int(true)} {presence}: {found[name].sentence}")
                print(f"    {' '.join(text.split())}")
    for positive, rows in pairs.items():
        print(f"\n{positive:24}      P     R    F1    positives")
        for name, row in rows.items():
            p, r, f1 = score(row)
            print(f"{name:28}{p:6.3f}{r:6.3f}{f1:6.3f}{sum(true for _, true in row):8}")
        print(f"{'mean F1 of the six':40}{sum(score(rows[name])[2] for name in SIX) / 6:6.3f}")


if __name__ == "__main__":
    main()
