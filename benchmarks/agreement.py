"""Measure the cost of sampled reports beside a draft, and the value of their agreement.

    python benchmarks/agreement.py [--images 100] [--samples 8] [--temperature 1.0] [--in-flight 2]

The demo model reads phantoms that it never saw, a few in flight, each batch once without samples and
once with them, taking turns. The ratio is of the process' own time, which others do not lengthen. Then
the drafts' coded findings are counted by their agreement, and how many of them the image confirms.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from dicom.content.report import CODED_OBSERVATIONS, Finding, Presence
from dicom.phantom import draw, random_findings
from workers.labeller.findings import label
from workers.model.checkpoints import registry
from workers.model.engine.engine import Engine
from workers.model.placement import place
from workers.model.prompts import Task
from workers.model.vlm import Answer, Decoding
from workers.reading.content.agreement import agreed

FIRST_SEED = 830_000_000  # neither trained on nor tested with
DRAFT = Decoding(max_new_tokens=256)


def image(seed: int) -> tuple[np.ndarray, frozenset[str]]:
    """Return a synthetic image, float32 [rows, columns] in 0..1, 0 black, and what is on it."""
    findings = random_findings(np.random.default_rng(seed))
    phantom = draw(seed, rows=512, columns=512, bits_stored=12, findings=findings)
    there = frozenset(one.observation.value for one in findings)
    return phantom.pixels.astype(np.float32) / 4095, there


def read(
    engine: Engine, images: Sequence[np.ndarray], samples: Sequence[Decoding]
) -> tuple[list[Answer], float]:
    """Return an answer for each image, all in flight together, and the seconds of processor time."""
    start = time.process_time()
    with ThreadPoolExecutor(len(images)) as callers:
        asked = [
            callers.submit(engine.answer, one, Task.REPORT, decoding=DRAFT, samples=samples)
            for one in images
        ]
        answers = [one.result() for one in asked]
    return answers, time.process_time() - start


def coded(answer: Answer) -> list[Finding]:
    """Return the state of each of the six findings in a draft, with its agreement."""
    findings = agreed(label(answer.text), [label(text) for text in answer.samples])
    stated = (Presence.PRESENT, Presence.ABSENT)
    return [
        one for one in findings if one.observation in CODED_OBSERVATIONS and one.presence in stated
    ]


def main() -> None:
    """Read, time, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=0.8)
    parser.add_argument("--in-flight", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows = options.in_flight * (1 + options.samples)
    engine = Engine(registry.load("demo", Path(), place("cpu", "float32", rows=rows)), rows=rows)
    samples = [
        Decoding(
            temperature=options.temperature, top_p=options.top_p, seed=seed, max_new_tokens=256
        )
        for seed in range(1, options.samples + 1)
    ]
    spent, drafts = {False: 0.0, True: 0.0}, list[tuple[Answer, frozenset[str]]]()
    differing = 0
    for first in range(0, options.images, options.in_flight):
        batch = [image(FIRST_SEED + first + number) for number in range(options.in_flight)]
        pixels = [one for one, _ in batch]
        alone, without = read(engine, pixels, ())
        beside, with_them = read(engine, pixels, samples)
        spent[False] += without
        spent[True] += with_them
        differing += sum(one.text != two.text for one, two in zip(alone, beside, strict=True))
        drafts += zip(beside, (there for _, there in batch), strict=True)
    engine.close()
    count = len(drafts)
    print(
        f"{count} images: {1000 * spent[False] / count:.0f} ms of CPU time per image without samples,"
    )
    print(
        f"{1000 * spent[True] / count:.0f} with {options.samples}: "
        f"{spent[True] / spent[False]:.2f} times"
    )
    print(f"{differing} drafts differ between with and without")
    tally = defaultdict[str, list[bool]](list)
    for answer, there in drafts:
        for one in coded(answer):
            right = (one.presence is Presence.PRESENT) == (one.observation.value in there)
            share = one.agreement.share if one.agreement else 0.0
            name = "all" if share == 1.0 else "half and more" if share >= 0.5 else "fewer"
            tally[name].append(right)
    print("{:>14} {:>9} {:>6}".format("samples agree", "findings", "right"))
    for name in ("all", "half and more", "fewer"):
        right = tally[name]
        print(f"{name:>14} {len(right):>9} {sum(right) / max(1, len(right)):>6.3f}")


if __name__ == "__main__":
    main()
