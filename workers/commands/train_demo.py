"""`wetread train-demo`: trains the demo model from scratch, on the CPU."""

import time
from pathlib import Path

import click

from workers.training.run import IMAGES, Plan, train
from workers.training.stages import Recipe

_QUICK = Recipe(epochs=(2, 1, 1))
_QUICK_IMAGES = 300


@click.command("train-demo")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder that gets the checkpoint.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of images and finished stages, to continue a run; beside --out by default.",
)
@click.option(
    "--images",
    "--films",
    "images",
    type=click.IntRange(min=100),
    help="Number of synthetic images.",
)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--quick", is_flag=True, help="Train for a minute instead of an hour, for tests only."
)
def train_demo(
    out: Path, work: Path | None, images: int | None, threads: int, *, quick: bool
) -> None:
    """Train the demo model on synthetic images: labels, alignment, reports and questions."""
    begun = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.0f} s  {line}")

    plan = Plan(
        out=out,
        work=work or out.with_name(f"{out.name}-work"),
        threads=threads,
        images=images or (_QUICK_IMAGES if quick else IMAGES),
        recipe=_QUICK if quick else Recipe(),
    )
    train(plan, say)
    say(f"the demo model is in {out}")
