"""`wetread load-model`: what `wetread check` runs in a process of its own."""

import time

import click

from service.config import load_settings
from workers.reading import Reader


@click.command("load-model")
@click.option("--model", help="Which of [[models]]; that of [reading] when left out.")
def load_model(model: str | None) -> None:
    """Load a model once and say which it is and how long it took."""
    settings = load_settings()
    begun = time.monotonic()
    identity = Reader.from_settings(settings.for_model(model or settings.reading.model)).identity
    seconds = time.monotonic() - begun
    click.echo(f"{identity.name} {identity.version} loaded in {seconds:.1f} s. {identity.caveat}")
