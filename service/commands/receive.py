"""`wetread receive`."""

import click

from service.config import load_settings
from service.log import configure_logging
from service.receive import serve


@click.command()
def receive() -> None:
    """Run the storage SCP: modalities and PACS send here."""
    settings = load_settings()
    configure_logging(settings.log, process="receive")
    serve(settings)
