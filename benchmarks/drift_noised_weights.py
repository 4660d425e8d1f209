"""Measure after how many studies the drift charts alarm when noise disturbs the model's weights.

    python benchmarks/drift_noised_weights.py [--images 100] [--noise 0 0.2 0.4 0.6] [--sites 10]

The demo model reads phantoms, and reads them again with normal noise added to each of its weights: the
deviation of the noise is a share of that of the weights of the same tensor. Findings and words of the
drafts are rows of simulated sites, which draw from these studies: 35 days as reference and ten more by
the model as it is, then 20 days by the disturbed one. Nothing else changes. Seeds are fixed.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from demo_model import frame_of
from drift_alarms import BEGIN, RATES, REFERENCE_DAYS, SimulatedSite, alarms, reference

from dicom.content.report import CODED_OBSERVATIONS, Presence
from service.drift.rows import MonitorRow
from service.drift.streams import WATCHED_FINDINGS, WORDS, finding_stream
from workers.labeller.findings import label
from workers.model.checkpoints import cxr_llava, shipped
from workers.model.checkpoints.cxr_llava import CxrLlava
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.training.images import plan

DAYS_BEFORE, DAYS_AFTER = 10, 20
SIDE = 512  # of the images, which are reduced to the input of the model anyway


@dataclass(frozen=True)
class Drafted:
    """What the charts see of a draft: findings in the order of WATCHED_FINDINGS, and words."""

    findings: tuple[bool, ...]
    words: int


class PooledSite(SimulatedSite):
    """A site whose drafts are drawn from a list."""

    def __init__(self, seed: int, *, a_day: int, pool: Sequence[Drafted]) -> None:
        super().__init__(seed, a_day=a_day)
        self.pool = pool

    def _reading(
        self, at: object, day: date, device: str, rates: Sequence[float], bright: float
    ) -> MonitorRow:
        row = super()._reading(at, day, device, rates, bright)
        drafted = self.pool[int(self.generator.integers(len(self.pool)))]
        found = zip(WATCHED_FINDINGS, drafted.findings, strict=True)
        return dataclasses.replace(
            row,
            events={finding_stream(each): event for each, event in found},
            numbers={**row.numbers, WORDS: float(drafted.words)},
        )


def disturb(model: CxrLlava, noise: float) -> None:
    """Add noise to the weights of a model; the same noise for the same share."""
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for weights in model.network.parameters():
            if weights.is_floating_point() and weights.numel() > 1:
                drawn = torch.randn(weights.shape, generator=generator)
                weights.add_((noise * weights.float().std() * drawn).to(weights.dtype))


def read(seeds: Sequence[int], *, noises: Sequence[float]) -> list[list[Drafted]]:
    """Return the drafts of the images of some seeds, a list for each share of noise."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        plans = (dataclasses.replace(plan(each), rows=SIDE, columns=SIDE) for each in seeds)
        frames = [frame_of(each, Path(folder)) for each in plans]
    drafts = []
    for noise in noises:
        model = cxr_llava.load(shipped.FOLDER)
        disturb(model, noise)
        decoding = Decoding(max_new_tokens=256)
        texts = [model.answer(each, Task.REPORT, decoding=decoding).text for each in frames]
        drafts.append([drafted_of(each) for each in texts])
    return drafts


def drafted_of(text: str) -> Drafted:
    """Return what the charts see of a report."""
    found = {each.observation: each.presence for each in label(text)}
    coded = [found[each] is Presence.PRESENT for each in CODED_OBSERVATIONS]
    by_name = dict(zip(CODED_OBSERVATIONS, coded, strict=True))
    # The one that is not coded is "no finding".
    findings = tuple(by_name.get(each, not any(coded)) for each in WATCHED_FINDINGS)
    return Drafted(findings, len(text.split()))


def delay(
    seed: int, before: Sequence[Drafted], after: Sequence[Drafted], a_day: int
) -> tuple[int, int, str] | None:
    """Return (studies, days, chart) until the first alarm after the change, None without one.

    A site that alarms before the change counts by the alarms that come after it.
    """
    site = PooledSite(seed, a_day=a_day, pool=before)
    summary, _ = reference(site)
    rows = site.days(REFERENCE_DAYS, DAYS_BEFORE, rates=RATES)
    site.pool = after
    changed = REFERENCE_DAYS + DAYS_BEFORE
    since = site.days(changed, DAYS_AFTER)
    begun = since[0].at
    ends = [
        (each.alarm.rows[-1].at, each.name)
        for each in alarms(summary, rows + since, changed + DAYS_AFTER)
        if each.alarm.rows[-1].at >= begun
    ]
    if not ends:
        return None
    at, name = min(ends)
    readings = [each for each in since if each.at <= at and each.numbers]
    return len(readings), (at.date() - BEGIN).days - changed, name


def main() -> None:
    """Print how often and how soon the charts alarm, by the share of noise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6])
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--a-day", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    begun = time.monotonic()
    noises = sorted({0.0, *asked.noise})
    seeds = range(900_000_000, 900_000_000 + asked.images)
    parts = [seeds[at :: asked.processes] for at in range(asked.processes)]
    with ProcessPoolExecutor(asked.processes) as processes:
        read_parts = list(processes.map(partial(read, noises=noises), parts))
    pools = [list(chain.from_iterable(each)) for each in zip(*read_parts, strict=True)]
    print(f"{asked.images} images read {len(noises)} times in {time.monotonic() - begun:.0f} s")
    for noise, pool in zip(noises, pools, strict=True):
        other = sum(a.findings != b.findings for a, b in zip(pools[0], pool, strict=True))
        words = statistics.mean(each.words for each in pool)
        found = [delay(seed, pools[0], pool, asked.a_day) for seed in range(asked.sites)]
        alarmed = [each for each in found if each]
        print(
            f"noise {noise}: findings of {other} of {asked.images} drafts differ, {words:.0f} words"
        )
        if alarmed:
            studies = sorted(each[0] for each in alarmed)
            charts = Counter(each[2] for each in alarmed).most_common(3)
            print(
                f"  {len(alarmed)} of {asked.sites} sites alarm: after {statistics.median(studies):.0f}"
                f" studies ({studies[0]} to {studies[-1]}), first chart {charts}"
            )
        else:
            print(f"  0 of {asked.sites} sites alarm in {DAYS_AFTER} days")


if __name__ == "__main__":
    main()
