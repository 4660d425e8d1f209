"""Measure whether the demo model locates findings, on phantoms that it has not seen.

    python benchmarks/where.py [--images 500] [--model FOLDER] [--first-seed N] [--processes 2]

Each image takes the service's real path. For each finding that is present, that the text states and
that the model confirms: does the peak of its heat map lie in the finding's region, which is the convex
outline of its mask on either side (*region*), and even in the mask (*mask*: plates of atelectasis are
one or two pixels of the model's image); does the warmest cell of the model's grid meet the mask
(*cell*); is a region drawn (*drawn*), and how many of the drawn ones have their middle within the
mask's box (*on it*); how many were withheld because they lie on another side than the text states
(*wrong side*). Edema has no location: its mask is the wings in both lungs, and no region is
drawn. The last line is the cost of a map.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import ConvexHull, Delaunay

from dicom.content.report import CODED_OBSERVATIONS, Presence, Region, Side
from dicom.phantom import Truth, draw
from dicom.pixels.frame import PixelLimits, load_frame
from workers.labeller.findings import label
from workers.model.checkpoints import cxr_llava, shipped
from workers.model.checkpoints.llava import Llava
from workers.model.prompts import IS_THERE, Task
from workers.model.vlm import Decoding, HeatMap
from workers.reading.content.locating import central_square, locate
from workers.training.images import phantom_of, plan, write_image

LIMITS = PixelLimits(max_pixels=2**26, max_bytes=2**28)
QUESTIONS = tuple(IS_THERE[name.value] for name in CODED_OBSERVATIONS)
COLUMNS = ("found", "region", "mask", "cell", "drawn", "on it", "wrong side")
DRAWN, ON_IT = COLUMNS.index("drawn"), COLUMNS.index("on it")
CHUNK = 25


@dataclass(frozen=True)
class Seen:
    """One true positive finding.

    Attributes:
        finding: Number among the six.
        outcome: For each of COLUMNS, whether it is so.
    """

    finding: int
    outcome: tuple[bool, ...]


def looked_at(heat: HeatMap, frame: np.ndarray, truth: Truth) -> tuple[bool, ...]:
    """Return for each of COLUMNS whether it is so."""
    found = locate(heat, frame, truth.side)
    return (
        True,
        found.peak is not None and outlined(truth, found.peak),
        found.peak is not None and inside(truth.mask, found.peak),
        cell_meets(heat.cells, truth.mask),
        found.region is not None,
        found.region is not None and in_box(found.region, truth.mask),
        found.contradicts,
    )


def inside(mask: np.ndarray, point: tuple[float, float]) -> bool:
    """Return whether a (column, row) lies in a mask."""
    column, row = (int(value) for value in point)
    return bool(mask[min(row, mask.shape[0] - 1), min(column, mask.shape[1] - 1)])


def outlined(truth: Truth, point: tuple[float, float]) -> bool:
    """Return whether a (column, row) lies in the convex outline of a mask, of either lung's apart."""
    middle = truth.mask.shape[1] // 2
    halves = (slice(None, middle), slice(middle, None))
    sides = halves if truth.side is Side.BILATERAL else (slice(None),)
    for side in sides:
        part = np.zeros_like(truth.mask)
        part[:, side] = truth.mask[:, side]
        if part.any() and in_hull(part, point):
            return True
    return False


def in_hull(mask: np.ndarray, point: tuple[float, float]) -> bool:
    """Return whether a (column, row) lies in the convex outline of a mask."""
    rows, columns = np.nonzero(mask)
    corners = np.concatenate(
        [np.stack([columns + right, rows + down], axis=1) for right in (0, 1) for down in (0, 1)]
    )
    return bool(Delaunay(corners[ConvexHull(corners).vertices]).find_simplex(point) >= 0)


def cell_meets(heat: np.ndarray, mask: np.ndarray) -> bool:
    """Return whether the warmest cell of the grid has a pixel of the mask in it."""
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    square, grid = central_square(*mask.shape), len(heat)
    left, top = (int(v) for v in square.on_image(column / grid, row / grid))
    right, bottom = (int(v) for v in square.on_image((column + 1) / grid, (row + 1) / grid))
    return bool(mask[top:bottom, left:right].any())


def in_box(region: Region, mask: np.ndarray) -> bool:
    """Return whether the middle of a region lies in the box around a mask."""
    rows, columns = np.nonzero(mask)
    x, y = np.mean(region.points[:-1], axis=0)
    return bool(columns.min() <= x <= columns.max() + 1 and rows.min() <= y <= rows.max() + 1)


def read(model: Llava, seed: int, folder: Path) -> list[Seen]:
    """Read one image and record where its findings were located."""
    one = plan(seed)
    phantom = phantom_of(one)
    frame = load_frame(write_image(phantom, one, folder / "image.dcm"), LIMITS).pixels
    decoding = Decoding(max_new_tokens=256)
    answer = model.answer(frame, Task.REPORT, questions=QUESTIONS, decoding=decoding)
    presences = {one.observation: one.presence for one in label(answer.text)}
    seen = []
    for truth in phantom.truths:
        heat = answer.heat.get(IS_THERE[truth.observation.value])
        if (
            heat is None
            or presences[truth.observation] is not Presence.PRESENT
            or not truth.mask.any()
        ):
            continue
        seen.append(
            Seen(CODED_OBSERVATIONS.index(truth.observation), looked_at(heat, frame, truth))
        )
    return seen


def read_all(task: tuple[Path, tuple[int, ...]]) -> list[Seen]:
    """Read the images of some seeds, in a process of its own."""
    where, seeds = task
    torch.set_num_threads(1)
    model = loaded(where)
    with tempfile.TemporaryDirectory() as folder:
        return [seen for seed in seeds for seen in read(model, seed, Path(folder))]


def loaded(where: Path) -> Llava:
    """Return the model of a folder, which locates the findings that it confirms."""
    model = cxr_llava.load(where)
    model.located = frozenset(QUESTIONS)
    return model


def table(seen: Iterable[Seen]) -> str:
    """Return a line for each finding."""
    lines = [f"{'':18}" + "".join(f"{name:>11}" for name in COLUMNS)]
    rows = list(seen)
    for number, name in enumerate(CODED_OBSERVATIONS):
        outcomes = np.array([one.outcome for one in rows if one.finding == number], bool)
        if not len(outcomes):
            continue
        found, drawn = len(outcomes), outcomes[:, DRAWN].sum()
        shares = outcomes.mean(0)
        shares[ON_IT] = outcomes[:, ON_IT].sum() / max(1, drawn)
        lines.append(f"{name.value:18}{found:11}" + "".join(f"{x:11.2f}" for x in shares[1:]))
    return "\n".join(lines)


def cost(where: Path, repeats: int = 10) -> str:
    """Return the processor time of a map, as the difference to the same answer without any."""
    torch.set_num_threads(1)
    model = loaded(where)
    phantom = draw(1, rows=512, columns=512, findings=plan(CHUNK).findings)
    frame = (phantom.pixels / (2**phantom.bits_stored - 1)).astype(np.float32)
    one = Decoding(max_new_tokens=1)
    spent, maps = {True: 0.0, False: 0.0}, 0
    for _ in range(repeats + 1):
        for located in (True, False):
            model.located = frozenset(QUESTIONS) if located else frozenset()
            begun = time.process_time()
            answer = model.answer(frame, Task.REPORT, questions=QUESTIONS, decoding=one)
            spent[located] += time.process_time() - begun
            maps += len(answer.heat)
        if maps and _ == 0:  # the first pair warms up
            spent, maps = {True: 0.0, False: 0.0}, 0
    return f"{1000 * (spent[True] - spent[False]) / max(1, maps):.1f} ms of processor time a map"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--model", type=Path, default=shipped.FOLDER)
    parser.add_argument("--first-seed", type=int, default=900_000_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.images)
    tasks = [(options.model, tuple(seeds[n : n + CHUNK])) for n in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(options.processes) as pool:
        print(table(seen for part in pool.map(read_all, tasks) for seen in part))
    print(cost(options.model))


if __name__ == "__main__":
    main()
