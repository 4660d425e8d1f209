"""`wetread load-model`: what `wetread check` runs in a process of its own."""

import time

import click

from service.config import load_settings
from workers.reading import Reader


@click.command("load-model")
def load_model() -> None:
    """Load the model once and say which it is and how long it took."""
    begun = time.monotonic()
    identity = Reader.from_settings(load_settings()).identity
    seconds = time.monotonic() - begun
    click.echo(f"{identity.name} {identity.version} loaded in {seconds:.1f} s. {identity.caveat}")
