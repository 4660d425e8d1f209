"""Write unseen phantoms as DICOM files with their truth as a table for `wetread evaluate`.

    python benchmarks/phantom_studies.py OUT [--images 1000] [--first-seed 900000000] [--size 512]

OUT gets images/SEED.dcm and labels.csv: for each of the six findings 1 or 0, the side, the share of the
image that it covers (size), whether it is focal or diffuse, and its box in pixels. The images are those
of benchmarks/demo_model.py.
"""

import argparse
import csv
import dataclasses
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import Phantom, Truth
from workers.training.images import phantom_of, plan, write_image


def row_of(phantom: Phantom, name: str) -> dict[str, object]:
    """Return the truth of a phantom as cells of labels.csv."""
    truths = {truth.observation: truth for truth in phantom.truths}
    cells: dict[str, object] = {"file": name, "patient": phantom.seed}
    for finding in CODED_OBSERVATIONS:
        cells[finding.value] = int(finding in truths)
        if finding in truths:
            cells |= described(truths[finding])
    return cells


def described(truth: Truth) -> dict[str, object]:
    """Return the cells beside the label of a present finding."""
    name = truth.observation.value
    rows, columns = np.nonzero(truth.mask)
    cells: dict[str, object] = {
        f"size {name}": round(float(truth.mask.mean()), 6),
        f"pattern {name}": pattern(truth),
        f"side {name}": truth.side.value if truth.side else "",
    }
    if len(rows):
        left, top = int(columns.min()), int(rows.min())
        width, height = int(columns.max()) + 1 - left, int(rows.max()) + 1 - top
        cells[f"box {name}"] = f"{left} {top} {width} {height}"
    return cells


def pattern(truth: Truth) -> str:
    """Return whether a finding is focal or diffuse; an enlarged heart is neither."""
    if truth.observation is Observation.CARDIOMEGALY:
        return ""
    return "diffuse" if truth.side is Side.BILATERAL else "focal"


def written(seed: int, *, folder: Path, size: int | None) -> dict[str, object]:
    """Write the image of a seed; return its truth."""
    one = plan(seed)
    if size:
        one = dataclasses.replace(one, rows=size, columns=size)
    phantom = phantom_of(one)
    name = f"images/{seed}.dcm"
    write_image(phantom, one, folder / name)
    return row_of(phantom, name)


def write_all(folder: Path, seeds: range, *, size: int | None = None, processes: int = 2) -> Path:
    """Write images and labels.csv; return the path of the table."""
    with ProcessPoolExecutor(processes) as pool:
        rows = list(pool.map(partial(written, folder=folder, size=size), seeds, chunksize=20))
    header = list(dict.fromkeys(name for row in rows for name in row))
    table = folder / "labels.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=900_000_000)
    parser.add_argument("--size", type=int, help="rows and columns of every image")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.images)
    print(write_all(options.out, seeds, size=options.size))


if __name__ == "__main__":
    main()
