"""Phantoms with exact truth as a folder of studies and a table."""

import csv
import dataclasses

import pytest

from dicom.content.report import CODED_OBSERVATIONS
from workers.training.images import phantom_of, plan, write_image

FIRST = 910_000_000


def write_phantoms(folder, count, *, first=FIRST, size=160):
    """Write `count` phantoms to folder/images and their truth to folder/labels.csv."""
    rows = []
    (folder / "images").mkdir(parents=True)
    for seed in range(first, first + count):
        one = dataclasses.replace(plan(seed), rows=size, columns=size)
        write_image(phantom_of(one), one, folder / "images" / f"{seed}.dcm")
        truths = {finding.observation: finding for finding in one.findings}
        row = {"file": f"{seed}.dcm", "patient": str(seed // 2)}
        for name in CODED_OBSERVATIONS:
            row[name.value] = int(name in truths)
            side = truths[name].side if name in truths else None
            row[f"side {name.value}"] = side.value if side else ""
            row[f"size {name.value}"] = truths[name].extent if name in truths else ""
        rows.append(row)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Twelve phantoms and their truth; read-only."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 12)


@pytest.fixture(scope="session")
def phantoms_of():
    """A function that writes so many phantoms."""
    return write_phantoms
