"""Runs the whole training, from nothing to the published files; finished stages are not repeated."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch

from workers.model.checkpoints.cxr_llava import Network
from workers.model.tokenizer import Tokenizer
from workers.training import checkpoint, corpus
from workers.training.corpus import Corpus
from workers.training.images import TrainingImages
from workers.training.stages import Progress, Recipe, Training

FIRST_SEED: Final = 50_000_000  # of the training images; the benchmark uses other seeds
IMAGES: Final = 8000
_STAGES: Final = ("labels", "alignment", "tuning", "pointing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of a training.

    Attributes:
        out: Folder of the published files.
        work: Folder of images and finished stages; another run with the same settings continues there.
        images: Number of images.
        recipe: Epochs, rates and batches.
        threads: Number of threads that compute, and of processes that draw images.
    """

    out: Path
    work: Path
    images: int = IMAGES
    recipe: Recipe = field(default_factory=Recipe)
    threads: int = 2


def train(plan: Plan, say: Callable[[str], None]) -> None:
    """Train the demo model and write its files to `plan.out`; `say` gets a line at each step."""
    torch.set_num_threads(plan.threads)
    seeds = range(FIRST_SEED, FIRST_SEED + plan.images)
    images = TrainingImages.drawn(
        seeds,
        plan.work / "films",
        processes=plan.threads,
        progress=lambda done: say(f"drawn {done} of {plan.images} images"),
    )
    model = corpus.train_tokenizer()
    config = checkpoint.write_settings(plan.out, model, corpus.VOCABULARY)
    texts = Corpus(Tokenizer.from_folder(plan.out))
    network = checkpoint.new_network(config, plan.recipe.seed)

    def progress(one: Progress) -> None:
        say(f"{one.stage}: epoch {one.epoch} of {one.epochs}, loss {one.loss:.4f}")

    training = Training(network, config, images, texts, plan.recipe, progress)
    for name, stage in zip(
        _STAGES,
        (training.labels, training.alignment, training.tuning, training.pointing),
        strict=True,
    ):
        _once(plan.work / f"{name}-{_digest(plan)}.pt", network, stage)
    checkpoint.write_weights(plan.out, network, plan.recipe.seed)


def _once(path: Path, network: Network, stage: Callable[[], None]) -> None:
    """Run `stage` and save the weights to `path`, or load them if they are there."""
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return
    stage()
    unfinished = path.with_suffix(".part")
    torch.save(network.state_dict(), unfinished)
    unfinished.replace(path)


def _digest(plan: Plan) -> str:
    recipe = plan.recipe
    numbers = (*recipe.epochs, *recipe.rates, *recipe.batches, recipe.seed, plan.images)
    return "-".join(f"{number:g}" for number in numbers)
