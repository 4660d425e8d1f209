"""How many reports change with the number format, and with the other images of the batch.

    python benchmarks/number_formats.py [--images 100] [--formats float32 bfloat16 ...] [--in-flight 16]

The demo model reads phantoms that it never saw, in each format, one image after another and many
at once. A line says how many reports differ from float32's, how many of those in what they find (the
fourteen observations with presence and side), and how many differ between alone and together.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from dicom.phantom import draw, random_findings
from workers.labeller.findings import label
from workers.model.checkpoints import registry
from workers.model.engine.engine import Engine
from workers.model.placement import QUANTISED, place
from workers.model.prompts import Task
from workers.model.vlm import Decoding

FORMATS = ("float32", "bfloat16", "float16", *QUANTISED)
FIRST_SEED = 810_000_000  # neither trained on nor tested with


def image(seed: int) -> np.ndarray:
    """Return a synthetic image, float32 [rows, columns] in 0..1, 0 black."""
    findings = random_findings(np.random.default_rng(seed))
    phantom = draw(seed, rows=512, columns=512, bits_stored=12, findings=findings)
    return phantom.pixels.astype(np.float32) / 4095


def found(text: str) -> tuple:
    """Return the findings of a report, without its wording."""
    return tuple((one.observation, one.presence, one.side) for one in label(text))


def reports(name: str, images: Sequence[np.ndarray], in_flight: int) -> tuple[list[str], list[str]]:
    """Return what the model writes of each image, alone and together, in the format called `name`."""
    bits = name if name in QUANTISED else "none"
    where = place("cpu", "float32" if bits != "none" else name, quantisation=bits, rows=in_flight)
    engine = Engine(registry.load("demo", Path(), where), rows=in_flight)

    def ask(one: np.ndarray) -> str:
        return engine.answer(one, Task.REPORT, decoding=Decoding(max_new_tokens=256)).text

    alone = [ask(one) for one in images]
    with ThreadPoolExecutor(in_flight) as callers:
        together = list(callers.map(ask, images))
    engine.close()
    return alone, together


def differing(these: Sequence[str], those: Sequence[str]) -> tuple[int, int]:
    """Return how many texts differ, and how many of them in what they find."""
    pairs = [(one, other) for one, other in zip(these, those, strict=True) if one != other]
    return len(pairs), sum(found(one) != found(other) for one, other in pairs)


def main() -> None:
    """Read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--in-flight", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    images = [image(FIRST_SEED + number) for number in range(options.images)]
    exact, _ = reports("float32", images, 1)
    print("{:>10} {:>22} {:>22}".format("", "not as float32", "together, not as alone"))
    print("{:>10} {:>11}{:>11} {:>11}{:>11}".format("", *("text", "findings") * 2))
    for name in options.formats:
        alone, together = reports(name, images, options.in_flight)
        counts = (*differing(alone, exact), *differing(together, alone))
        print("{:>10} {:>11}{:>11} {:>11}{:>11}".format(name, *counts), flush=True)


if __name__ == "__main__":
    main()
