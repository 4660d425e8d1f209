"""`wetread evaluate` on unseen phantoms: F1 of the shipped model, and whether worse models are detected.

    python benchmarks/evaluate_phantoms.py OUT [--images 1000] [--worse 200] [--noise 0.5]

In OUT the phantoms are written (benchmarks/phantom_studies.py) and evaluated by the shipped model; its
F1 must be those of benchmarks/demo_model.py on the same seeds. Then two worse models are compared with
it: one whose weights have noise added, on the first --worse phantoms, and one whose sentences about
pneumothorax are negated. A run that was stopped continues.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from phantom_studies import write_all
from safetensors.torch import load_file, save_file

from workers.model.checkpoints import shipped

WETREAD = Path(sys.executable).with_name("wetread")
FIRST_SEED = 900_000_000
TURNED = "pneumothorax"
OPPOSITE = {True: "There is no pneumothorax.", False: "There is a left pneumothorax."}


def noised(folder: Path, noise: float) -> Path:
    """Return a copy of the shipped model with noise of this many standard deviations in its weights."""
    if folder.exists():
        return folder
    unfinished = folder.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(shipped.FOLDER, unfinished)
    generator = torch.Generator().manual_seed(0)
    for path in sorted(unfinished.glob("*.safetensors")):
        tensors = load_file(path)
        for name, values in sorted(tensors.items()):
            if values.is_floating_point() and values.ndim > 1:
                spread = noise * values.float().std()
                added = torch.randn(values.shape, generator=generator) * spread
                tensors[name] = (values.float() + added).to(values.dtype)
        save_file(tensors, path, metadata={"format": "pt"})
    for path in unfinished.glob("SHA256SUMS*"):
        path.unlink()
    unfinished.replace(folder)
    return folder


def turned_around(source: Path, folder: Path) -> Path:
    """Return a copy of an evaluation whose sentences about one finding are negated."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    rows = [json.loads(line) for line in (source / "drafts.jsonl").read_text().splitlines()]
    with (folder / "drafts.jsonl").open("w") as file:
        for row in rows:
            turn(row)
            file.write(json.dumps(row, sort_keys=True) + "\n")
    return folder


def turn(row: dict[str, object]) -> None:
    """Negate the sentences of one draft; the labels follow from the text."""
    draft = row["draft"]
    present = row["labels"][TURNED] == "present"
    lines = [line for line in draft["findings_text"] if TURNED not in line.lower()]
    draft["findings_text"] = [*lines, OPPOSITE[present]]
    draft["impression_text"] = [
        line for line in draft["impression_text"] if TURNED not in line.lower()
    ]


def evaluate(studies: Path, truth: Path, out: Path, *options: str, **settings: str) -> dict:
    """Run `wetread evaluate`; return its metrics."""
    command = [WETREAD, "evaluate", studies, "--truth", truth, "--out", out, *options]
    environment = os.environ | {
        f"WETREAD_READING__{name.upper()}": value for name, value in settings.items()
    }
    ended = subprocess.run([str(word) for word in command], env=environment, cwd=out.parent)
    if ended.returncode not in (0, 1):  # 1: some studies failed, as the texts of a bad model cause
        sys.exit(ended.returncode)
    return json.loads((out / "metrics.json").read_text())


def subset(folder: Path, count: int) -> Path:
    """Return a list of the first studies, as a CSV table."""
    path = folder / f"first-{count}.csv"
    names = [f"images/{FIRST_SEED + number}.dcm" for number in range(count)]
    path.write_text("file\n" + "\n".join(names) + "\n")
    return path


def figures(metrics: dict) -> str:
    """Return what a comparison found, as text."""
    found = metrics["comparisons"][0]
    micro = found["together"]["micro F1"]
    interval = micro["difference"]["interval"]
    return (
        f"micro F1 {micro['first']:.3f} against {micro['second']:.3f}, difference "
        f"{interval['low']:.3f} to {interval['high']:.3f}, p {micro['test']['p']:.4f}; "
        f"worse in: {', '.join(found['worse']) or 'nothing'}; better in: "
        f"{', '.join(found['better']) or 'nothing'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--worse", type=int, default=200, help="images for the noised model")
    parser.add_argument(
        "--noise", type=float, default=0.5, help="standard deviations of the weights"
    )
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    images, truth = folder / "images", folder / "labels.csv"
    if not truth.exists():
        write_all(folder, range(FIRST_SEED, FIRST_SEED + options.images))
    whole = evaluate(images, truth, folder / "out")
    for name, each in whole["figures"]["findings"].items():
        print(f"{name:18}{each['f1']['value']:7.3f}")
    print(f"mean F1 of the six {whole['figures']['together']['macro_defined']['value']:.3f}")
    turned = turned_around(folder / "out", folder / "turned")
    against = ("--compare", str(folder / "out"))
    print("sentences turned around:", figures(evaluate(images, truth, turned, *against)))
    copy = noised(folder / f"noised-{options.noise:g}", options.noise)
    settings = {"model": "cxr-llava-v2", "model_dir": str(copy), "demo_reads_patients": "true"}
    first = subset(folder, options.worse)
    out = folder / f"noisy-{options.noise:g}"
    noisy = evaluate(first, truth, out, *against, scores="on", **settings)
    print(f"weights with noise of {options.noise:g} SD:", figures(noisy))


if __name__ == "__main__":
    main()
