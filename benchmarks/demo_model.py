"""Measure the demo model on phantoms that it has not seen, through the service's real path.

    python benchmarks/demo_model.py [--images 1000] [--model FOLDER] [--size 1024] [--json FILE]

Each image is drawn at its own size, bit depth, window and polarity, written as a DX object and read as
the service reads: `dicom.pixels.frame.load_frame`, the model's preprocessing, greedy text. The text is
labeled by `workers.labeller.findings` and compared with what was drawn. Then the six findings and
normality are asked for, and the probability of "Yes" against "No" is compared with the frequency of the
finding.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from dicom.content.report import CODED_OBSERVATIONS, Observation, Presence
from dicom.pixels.frame import PixelLimits, load_frame
from workers.labeller.findings import label
from workers.model import preprocess, prompts
from workers.model.checkpoints import cxr_llava, shipped
from workers.model.checkpoints.cxr_llava import CxrLlava
from workers.model.networks.multimodal import Passage
from workers.model.prompts import IS_NORMAL, IS_THERE, Task
from workers.model.vlm import Decoding
from workers.training.images import Plan, phantom_of, plan, write_image

LIMITS = PixelLimits(max_pixels=2**26, max_bytes=2**28)
SIDED = (
    Observation.ATELECTASIS,
    Observation.CONSOLIDATION,
    Observation.PLEURAL_EFFUSION,
    Observation.PNEUMOTHORAX,
)
CHUNK = 50
BINS = np.linspace(0, 1, 11)


@dataclass
class Tally:
    """The model's findings and the true ones, a row for each image."""

    predicted: list[list[bool]] = field(default_factory=list)
    true: list[list[bool]] = field(default_factory=list)
    sides: list[list[bool | None]] = field(default_factory=list)
    chances: list[list[float]] = field(default_factory=list)
    normal: list[bool] = field(default_factory=list)
    tokens: int = 0


def frame_of(one: Plan, folder: Path) -> np.ndarray:
    """Return a planned image as the service decodes it."""
    phantom = phantom_of(one)
    return load_frame(write_image(phantom, one, folder / "image.dcm"), LIMITS).pixels


def chances(model: CxrLlava, frame: np.ndarray) -> list[float]:
    """Return the probability of "Yes" against "No" for each of the six, and for a normal image."""
    yes, no = (
        model.tokenizer.encode(f"[/INST] {word}")[len(model.tokenizer.encode("[/INST]"))]
        for word in ("Yes", "No")
    )
    gray = preprocess.pixel_values(preprocess.gray_image(frame), model.config.vision)
    found = []
    with torch.inference_mode():
        image = model.network.image_tokens(torch.from_numpy(gray))
        for question in (*IS_THERE.values(), IS_NORMAL):
            prompt = prompts.render(prompts.chat(Task.QUESTION, question))
            embeds = model.network.splice(prompts.prompt_ids(model.tokenizer, prompt), image)
            logits = Passage(model.network, slots=len(embeds)).read(embeds)[0]
            found.append(float(torch.softmax(logits[[yes, no]], 0)[0]))
    return found


def read(model: CxrLlava, one: Plan, folder: Path, tally: Tally) -> None:
    """Read one image and record what the model reported."""
    frame = frame_of(one, folder)
    answer = model.answer(frame, Task.REPORT, decoding=Decoding(max_new_tokens=256))
    found = {finding.observation: finding for finding in label(answer.text)}
    truth = {finding.observation: finding for finding in one.findings}
    tally.predicted.append(
        [found[name].presence is Presence.PRESENT for name in CODED_OBSERVATIONS]
    )
    tally.true.append([name in truth for name in CODED_OBSERVATIONS])
    tally.sides.append(
        [
            found[name].side is truth[name].side
            if name in truth and found[name].presence is Presence.PRESENT
            else None
            for name in SIDED
        ]
    )
    tally.chances.append(chances(model, frame))
    tally.normal.append(not truth)
    tally.tokens += len(answer.token_ids)


def read_all(task: tuple[Path, int | None, tuple[int, ...]]) -> Tally:
    """Read the images of some seeds, in a process of its own."""
    where, size, seeds = task
    torch.set_num_threads(1)
    model = cxr_llava.load(where)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            one = plan(seed)
            if size:
                one = dataclasses.replace(one, rows=size, columns=size)
            read(model, one, Path(folder), tally)
    return tally


def merged(parts: Iterable[Tally]) -> Tally:
    """Return all rows as one, in order."""
    total = Tally()
    for part in parts:
        total.predicted += part.predicted
        total.true += part.true
        total.sides += part.sides
        total.chances += part.chances
        total.normal += part.normal
        total.tokens += part.tokens
    return total


def scores(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1."""
    both = float((predicted & true).sum())
    precision, recall = both / max(1, predicted.sum()), both / max(1, true.sum())
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "positives": int(true.sum()),
    }


def results(tally: Tally) -> dict[str, dict[str, float]]:
    """Return a row for each finding, and one for normal images."""
    predicted, true, asked = (
        np.array(tally.predicted),
        np.array(tally.true),
        np.array(tally.chances),
    )
    rows = {}
    for column, name in enumerate(CODED_OBSERVATIONS):
        rows[name.value] = scores(predicted[:, column], true[:, column])
        rows[name.value]["asked f1"] = scores(asked[:, column] > 0.5, true[:, column])["f1"]
        if name in SIDED:
            right = [row[SIDED.index(name)] for row in tally.sides]
            known = [one for one in right if one is not None]
            rows[name.value]["sides"] = sum(known) / max(1, len(known))
    normal = np.array(tally.normal)
    rows["normal"] = scores(~predicted.any(1), normal)
    rows["normal"]["asked f1"] = scores(asked[:, -1] > 0.5, normal)["f1"]
    return rows


def calibration(tally: Tally) -> list[tuple[float, float, int]]:
    """Return mean probability, true share and count, for each tenth of the probability."""
    chance = np.array(tally.chances)[:, : len(CODED_OBSERVATIONS)].ravel()
    true = np.array(tally.true).ravel()
    place = np.clip(np.digitize(chance, BINS) - 1, 0, 9)
    return [
        (float(chance[place == n].mean()), float(true[place == n].mean()), int((place == n).sum()))
        for n in range(10)
        if (place == n).any()
    ]


def table(tally: Tally, seconds: float) -> str:
    """Return the results as text."""
    lines = [f"{'':18}{'P':>7}{'R':>7}{'F1':>7}{'sides':>7}{'asked F1':>10}{'images':>7}"]
    rows = results(tally)
    for name, row in rows.items():
        side = f"{row['sides']:7.3f}" if "sides" in row else " " * 7
        lines.append(
            f"{name:18}{row['precision']:7.3f}{row['recall']:7.3f}{row['f1']:7.3f}{side}"
            f"{row['asked f1']:10.3f}{row['positives']:7}"
        )
    lines.append(
        f"mean F1 of the six {np.mean([rows[name.value]['f1'] for name in CODED_OBSERVATIONS]):.3f}"
    )
    known = [one for row in tally.sides for one in row if one is not None]
    lines.append(f"sides right {sum(known) / max(1, len(known)):.3f} of {len(known)}")
    bins = calibration(tally)
    total = sum(count for _, _, count in bins)
    error = sum(abs(mean - share) * count for mean, share, count in bins) / total
    lines.append(f"\nprobability of Yes against how often it is so (expected error {error:.3f})")
    lines += [f"{mean:8.3f}{share:8.3f}{count:8}" for mean, share, count in bins]
    count = len(tally.predicted)
    lines.append(f"\n{count} images in {seconds:.0f} s, {tally.tokens / count:.0f} tokens a report")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--model", type=Path, default=shipped.FOLDER)
    parser.add_argument("--first-seed", type=int, default=900_000_000)
    parser.add_argument("--size", type=int, help="rows and columns of every image")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    begun = time.monotonic()
    seeds = range(options.first_seed, options.first_seed + options.images)
    tasks = [
        (options.model, options.size, tuple(seeds[n : n + CHUNK]))
        for n in range(0, len(seeds), CHUNK)
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        tally = merged(pool.map(read_all, tasks))
    print(table(tally, time.monotonic() - begun))
    if options.json:
        options.json.write_text(json.dumps(results(tally), indent=2))


if __name__ == "__main__":
    main()
